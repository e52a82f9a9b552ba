/* SPDX-License-Identifier: Apache-2.0 */
#include "base/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct {
	const char *path; /* a literal of the caller */
	int fd;
} kept[KEPT_MAX];

void kept_file(const char *path)
{
	for (unsigned i = 0; i < KEPT_MAX; i++) {
		if (kept[i].path && strcmp(kept[i].path, path))
			continue;
		if (kept[i].path)
			close(kept[i].fd);
		kept[i].fd = open(path, O_RDONLY | O_CLOEXEC);
		kept[i].path = kept[i].fd < 0 ? NULL : path;
		return;
	}
}

FILE *kept_open(const char *path, bool *ret_old)
{
	FILE *f = fopen(path, "re");
	if (ret_old)
		*ret_old = false;
	for (unsigned i = 0; !f && errno == EACCES && i < KEPT_MAX; i++) {
		if (!kept[i].path || strcmp(kept[i].path, path))
			continue;
		int fd = fcntl(kept[i].fd, F_DUPFD_CLOEXEC, 0);
		f = fd < 0 || lseek(fd, 0, SEEK_SET) < 0 ? NULL : fdopen(fd, "r");
		if (!f && fd >= 0)
			close(fd);
		if (f && ret_old)
			*ret_old = true;
		break;
	}
	return f;
}
