/* SPDX-License-Identifier: Apache-2.0 */
#include "net/unix.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/slice.h"
#include "net/kept.h"

enum { BACKLOG = 16 };

int unix_listen(const char *path, const char *setting, struct entente_err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	if (!slice_cstr(slice_str(path), at.sun_path, sizeof at.sun_path))
		return err_set(err, ENTENTE_EIO, REASON_NONE, "%s is longer than %zu octets", setting, sizeof at.sun_path - 1);
	int fd = kept_take_unix(path);
	if (fd >= 0)
		return fd;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, ENTENTE_EIO, REASON_NONE, "no unix socket: %s", strerror(errno));
	if (!connect(fd, (struct sockaddr *)&at, sizeof at)) {
		close(fd);
		return err_set(err, ENTENTE_EEXIST, REASON_NONE, "somebody else answers on %s (%s): another entented?", path, setting);
	}
	unlink(path);
	mode_t old = umask(0117);
	int rc = bind(fd, (struct sockaddr *)&at, sizeof at);
	umask(old);
	if (!rc && !listen(fd, BACKLOG)) {
		kept_put_unix(fd, path);
		return fd;
	}
	rc = err_set(err, ENTENTE_EIO, REASON_NONE, "cannot listen on %s (%s): %s; does its directory exist, may this user write there?",
		     path, setting, strerror(errno));
	close(fd);
	return rc;
}

void unix_close(int fd, const char *path)
{
	close(fd);
	if (!kept_active())
		unlink(path);
}
