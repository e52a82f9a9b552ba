/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that the journal makes on its files, as a table, so that a test can let the nth one fail, fill the disk or cut the power. Each as the system
 * call of the name: 0 or a count, or -1 with errno. Journal thread, and the thread of journal_open. */
#pragma once
#include <stdint.h>
#include <sys/types.h>

struct journal_io {
	int (*openat)(int dir, const char *name, int flags, unsigned mode);
	int (*close)(int fd);
	ssize_t (*pread)(int fd, void *p, size_t n, off_t at);
	ssize_t (*pwrite)(int fd, const void *p, size_t n, off_t at);
	int (*fallocate)(int fd, off_t len); /* from 0 on */
	int (*ftruncate)(int fd, off_t len);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd); /* of the directory */
	int (*renameat)(int dir, const char *from, const char *to);
	int (*unlinkat)(int dir, const char *name);
	int (*free_space)(int dir, uint64_t *ret_free, uint64_t *ret_total); /* octets; of the file system, for us */
};

extern const struct journal_io journal_io_system;
