/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int io_open(int dir, const char *name, int flags, unsigned mode)
{
	return openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
}

static int io_allocate(int fd, off_t len)
{
	return fallocate(fd, 0, 0, len);
}

static int io_rename(int dir, const char *from, const char *to)
{
	return renameat(dir, from, dir, to);
}

static int io_unlink(int dir, const char *name)
{
	return unlinkat(dir, name, 0);
}

static int io_free(int dir, uint64_t *ret_free, uint64_t *ret_total)
{
	struct statvfs v;
	if (fstatvfs(dir, &v) != 0)
		return -1;
	*ret_free = (uint64_t)v.f_bavail * v.f_frsize;
	*ret_total = (uint64_t)v.f_blocks * v.f_frsize;
	return 0;
}

const struct journal_io journal_io_system = {
	.openat = io_open, .close = close, .pread = pread, .pwrite = pwrite, .fallocate = io_allocate, .ftruncate = ftruncate,
	.fdatasync = fdatasync, .fsync = fsync, .renameat = io_rename, .unlinkat = io_unlink, .free_space = io_free,
};
