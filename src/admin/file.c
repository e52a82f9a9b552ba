/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct entente_err *err, const char *what, const char *path)
{
	return err_set(err, ENTENTE_EIO, REASON_NONE, "%s %s: %s", what, path, strerror(errno));
}

int file_read(const char *path, struct buf *ret, size_t max, struct entente_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;
	size_t before = ret->len;
	while (fd >= 0 && ret->len - before <= max && ((n = read(fd, buf_reserve(ret, 16384), 16384)) > 0 || (n < 0 && errno == EINTR)))
		buf_commit(ret, n > 0 ? (size_t)n : 0);
	int rc = fd < 0 || n < 0 ? fail(err, "cannot read", path) : 0;
	if (fd >= 0)
		close(fd);
	if (!rc && ret->len - before > max)
		rc = err_set(err, ENTENTE_ELIMIT, REASON_NONE, "%s is larger than %zu octets", path, max);
	return rc;
}

/* The directory of a path, "." without a slash. */
static void directory(char *ret, size_t size, const char *path)
{
	const char *slash = strrchr(path, '/');
	snprintf(ret, size, "%.*s", slash ? slash == path ? 1 : (int)(slash - path) : 1, slash ? path : ".");
}

bool file_replaceable(const char *path, struct entente_err *err)
{
	char dir[4200];
	directory(dir, sizeof dir, path);
	if (!access(dir, W_OK | X_OK))
		return true;
	err_set(err, ENTENTE_EIO, REASON_NONE, "%s: %s", dir, strerror(errno));
	return false;
}

static int write_all(int fd, struct slice text)
{
	while (text.len) {
		ssize_t n = write(fd, text.p, text.len);
		if (n < 0 && errno != EINTR)
			return -1;
		text = slice_skip(text, n > 0 ? (size_t)n : 0);
	}
	return fsync(fd);
}

int file_write(const char *path, struct slice text, struct entente_err *err)
{
	char new[4300], dir[4200];
	struct stat st;
	bool there = !stat(path, &st);
	snprintf(new, sizeof new, "%s.new", path);
	directory(dir, sizeof dir, path);
	unlink(new); /* of somebody who was killed */
	int fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), rc = 0;
	if (fd < 0)
		return fail(err, "cannot make", new);
	/* the group too, where we may: the file must stay readable for whoever could read it */
	if (there && (fchown(fd, (uid_t)-1, st.st_gid) || fchown(fd, st.st_uid, (gid_t)-1)))
		errno = 0;
	if ((there && fchmod(fd, st.st_mode & 07777)) || write_all(fd, text))
		rc = fail(err, "cannot write", new);
	close(fd);
	if (!rc && rename(new, path))
		rc = fail(err, "cannot replace", path);
	if (rc)
		unlink(new);
	fd = rc ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	return rc;
}
