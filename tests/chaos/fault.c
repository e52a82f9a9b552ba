/* SPDX-License-Identifier: Apache-2.0 */
/* A library for LD_PRELOAD between entented and the C library. In the directory CHAOS_WATCH (files below it) writes and syncs may fail
 * (CHAOS_CONTROL: a file with struct fault), and everything that was not synced can be taken back (CHAOS_UNDO: a log that powercut.py reads):
 * before each change what was there is written into the log, after each sync that it is now for good. So a power cut is: kill -9, undo.
 *
 * Records of the log: char kind, three spare octets, then 64-bit inode, place, old size, length, then `length` octets.
 *   W  a write at `place`; the octets that it overwrites          T  the size changes; the octets that a cut takes away
 *   B  a sync begins (place: its number)   S  it is done         C  made; octets: path; place: inode of the directory
 *   U  removed; octets: path, NUL, where a link to it is          R  renamed; octets: from, NUL, to, NUL, where a link to the old `to` is */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "fault.h"

enum { FDS = 65536 };

static struct fault none, *control = &none;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char watch[PATH_MAX], shadow[PATH_MAX];
static size_t watch_len;
static int undo = -1;
static uint64_t links, syncs_begun;
static bool watched[FDS]; /* by descriptor */

#define REAL(ret, name, ...)                                                                                                                 \
	static ret (*real)(__VA_ARGS__);                                                                                                     \
	if (!real)                                                                                                                           \
		*(void **)&real = dlsym(RTLD_NEXT, name)

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("CHAOS_CONTROL"), *dir = getenv("CHAOS_WATCH"), *log = getenv("CHAOS_UNDO");
	if (dir && realpath(dir, watch))
		watch_len = strlen(watch);
	if (path) {
		int fd = open(path, O_RDWR | O_CLOEXEC);
		void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED) {
			fprintf(stderr, "fault.so: %s: %s\n", path, strerror(errno));
			_exit(3);
		}
		control = p;
	}
	if (log) {
		snprintf(shadow, sizeof shadow, "%s.links", log);
		undo = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	}
}

/* ---- the log */

static void record(char kind, uint64_t inode, uint64_t place, uint64_t old_size, const void *data, size_t n)
{
	struct { char kind, spare[7]; uint64_t inode, place, old_size, length; } head = {
		.kind = kind, .inode = inode, .place = place, .old_size = old_size, .length = n,
	};
	struct iovec v[2] = {{&head, sizeof head}, {(void *)data, n}};
	REAL(ssize_t, "writev", int, const struct iovec *, int);
	if (undo >= 0 && real(undo, v, 2) != (ssize_t)(sizeof head + n)) {
		fprintf(stderr, "fault.so: the log of what to undo cannot be written\n");
		_exit(3);
	}
}

static bool is_watched(int fd)
{
	return fd >= 0 && fd < FDS && watched[fd];
}

static bool below(const char *path)
{
	return watch_len && !strncmp(path, watch, watch_len) && (path[watch_len] == '/' || !path[watch_len]);
}

/* The absolute path of what a directory and a name mean, not resolved further. */
static bool absolute(int dir, const char *path, char *ret)
{
	if (*path == '/') {
		snprintf(ret, PATH_MAX, "%s", path);
		return true;
	}
	char link[64], base[PATH_MAX];
	ssize_t n;
	snprintf(link, sizeof link, dir == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir);
	n = readlink(link, base, sizeof base - 1);
	if (n < 0)
		return false;
	base[n] = '\0';
	return snprintf(ret, PATH_MAX, "%s/%s", base, path) < PATH_MAX;
}

static uint64_t inode_of(const char *path, bool of_directory)
{
	char copy[PATH_MAX];
	struct stat st;
	snprintf(copy, sizeof copy, "%s", path);
	char *slash = strrchr(copy, '/');
	if (of_directory && slash)
		*slash = '\0';
	return stat(copy, &st) ? 0 : st.st_ino;
}

/* Before octets [at, at + n) are written. */
static void before_write(int fd, off_t at, size_t n)
{
	static char old[1 << 20];
	struct stat st;
	if (undo < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return;
	while (n) {
		size_t part = n < sizeof old ? n : sizeof old;
		char path[64];
		/* it may be open for writing only */
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		int again = at < st.st_size ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		ssize_t got = again < 0 ? 0 : pread(again, old, part, at);
		if (again >= 0)
			close(again);
		if (got < 0)
			got = 0;
		memset(old + got, 0, part - (size_t)got);
		record('W', st.st_ino, (uint64_t)at, (uint64_t)st.st_size, old, part);
		at += (off_t)part;
		n -= part;
	}
}

static void before_size(int fd, off_t size)
{
	struct stat st;
	if (undo < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || size == st.st_size)
		return;
	if (size < st.st_size) {
		size_t n = (size_t)(st.st_size - size);
		char *old = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (old != MAP_FAILED) {
			ssize_t got = pread(fd, old, n, size);
			record('T', st.st_ino, (uint64_t)size, (uint64_t)st.st_size, old, got < 0 ? 0 : (size_t)got);
			munmap(old, n);
		}
	} else {
		record('T', st.st_ino, (uint64_t)size, (uint64_t)st.st_size, NULL, 0);
	}
}

/* ---- faults */

static bool due(uint32_t every, uint32_t *count)
{
	uint32_t n = __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
	return every && n % every == 0;
}

static bool write_fails(void)
{
	if (!due(__atomic_load_n(&control->write_every, __ATOMIC_RELAXED), &control->writes))
		return false;
	__atomic_add_fetch(&control->writes_failed, 1, __ATOMIC_RELAXED);
	errno = (int)control->write_errno;
	return true;
}

static void look(const void *p, size_t n)
{
	uint32_t len = __atomic_load_n(&control->text_length, __ATOMIC_ACQUIRE);
	if (!len || len > sizeof control->text || !memmem(p, n, control->text, len))
		return;
	__atomic_add_fetch(&control->aborts, 1, __ATOMIC_RELAXED);
	abort();
}

/* ---- writing */

ssize_t write(int fd, const void *p, size_t n)
{
	REAL(ssize_t, "write", int, const void *, size_t);
	if (!is_watched(fd)) {
		look(p, n);
		return real(fd, p, n);
	}
	if (write_fails())
		return -1;
	pthread_mutex_lock(&lock);
	int flags = fcntl(fd, F_GETFL);
	struct stat st;
	off_t at = flags & O_APPEND && !fstat(fd, &st) ? st.st_size : lseek(fd, 0, SEEK_CUR);
	before_write(fd, at, n);
	ssize_t done = real(fd, p, n);
	pthread_mutex_unlock(&lock);
	return done;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
	if (!is_watched(fd))
		return real(fd, p, n, at);
	if (write_fails())
		return -1;
	pthread_mutex_lock(&lock);
	before_write(fd, at, n);
	ssize_t done = real(fd, p, n, at);
	pthread_mutex_unlock(&lock);
	return done;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return pwrite64(fd, p, n, at);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	REAL(ssize_t, "writev", int, const struct iovec *, int);
	if (!is_watched(fd)) {
		for (int i = 0; i < n; i++)
			look(v[i].iov_base, v[i].iov_len);
		return real(fd, v, n);
	}
	ssize_t whole = 0;
	for (int i = 0; i < n; i++) {
		ssize_t done = write(fd, v[i].iov_base, v[i].iov_len);
		if (done < 0)
			return whole ? whole : -1;
		whole += done;
		if ((size_t)done < v[i].iov_len)
			break;
	}
	return whole;
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t at)
{
	REAL(ssize_t, "pwritev64", int, const struct iovec *, int, off_t);
	if (!is_watched(fd))
		return real(fd, v, n, at);
	ssize_t whole = 0;
	for (int i = 0; i < n; i++) {
		ssize_t done = pwrite64(fd, v[i].iov_base, v[i].iov_len, at + whole);
		if (done < 0)
			return whole ? whole : -1;
		whole += done;
		if ((size_t)done < v[i].iov_len)
			break;
	}
	return whole;
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	return pwritev64(fd, v, n, at);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	REAL(ssize_t, "send", int, const void *, size_t, int);
	look(p, n);
	return real(fd, p, n, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	REAL(ssize_t, "sendmsg", int, const struct msghdr *, int);
	for (size_t i = 0; i < m->msg_iovlen; i++)
		look(m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
	return real(fd, m, flags);
}

int SSL_write_ex(SSL *s, const void *p, size_t n, size_t *done)
{
	REAL(int, "SSL_write_ex", SSL *, const void *, size_t, size_t *);
	look(p, n);
	return real(s, p, n, done);
}

/* ---- sizes */

int ftruncate64(int fd, off_t size)
{
	REAL(int, "ftruncate64", int, off_t);
	if (!is_watched(fd))
		return real(fd, size);
	pthread_mutex_lock(&lock);
	before_size(fd, size);
	int rc = real(fd, size);
	pthread_mutex_unlock(&lock);
	return rc;
}

int ftruncate(int fd, off_t size)
{
	return ftruncate64(fd, size);
}

int fallocate64(int fd, int mode, off_t at, off_t n)
{
	REAL(int, "fallocate64", int, int, off_t, off_t);
	if (!is_watched(fd))
		return real(fd, mode, at, n);
	if (write_fails())
		return -1;
	pthread_mutex_lock(&lock);
	struct stat st;
	if (!mode && !fstat(fd, &st) && at + n > st.st_size)
		before_size(fd, at + n);
	int rc = real(fd, mode, at, n);
	pthread_mutex_unlock(&lock);
	return rc;
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
	return fallocate64(fd, mode, at, n);
}

int posix_fallocate64(int fd, off_t at, off_t n)
{
	return fallocate64(fd, 0, at, n) ? errno : 0;
}

int posix_fallocate(int fd, off_t at, off_t n)
{
	return posix_fallocate64(fd, at, n);
}

/* ---- syncing */

static int synced(int fd, int (*real)(int))
{
	struct stat st;
	if (!is_watched(fd))
		return real(fd);
	if (due(__atomic_load_n(&control->sync_every, __ATOMIC_RELAXED), &control->syncs)) {
		__atomic_add_fetch(&control->syncs_failed, 1, __ATOMIC_RELAXED);
		errno = (int)control->sync_errno;
		return -1;
	}
	pthread_mutex_lock(&lock);
	uint64_t number = ++syncs_begun, inode = fstat(fd, &st) ? 0 : st.st_ino;
	record('B', inode, number, 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	int rc = real(fd);
	pthread_mutex_lock(&lock);
	if (!rc)
		record('S', inode, number, 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	return rc;
}

int fsync(int fd)
{
	REAL(int, "fsync", int);
	return synced(fd, real);
}

int fdatasync(int fd)
{
	REAL(int, "fdatasync", int);
	return synced(fd, real);
}

/* ---- names */

static void opened(int fd, const char *path, bool made)
{
	char link[64], name[PATH_MAX];
	struct stat st;
	if (fd < 0 || fd >= FDS)
		return;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, name, sizeof name - 1);
	name[n < 0 ? 0 : n] = '\0';
	watched[fd] = below(name) && !fstat(fd, &st) && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
	if (watched[fd] && made && undo >= 0) {
		pthread_mutex_lock(&lock);
		record('C', st.st_ino, inode_of(name, true), 0, name, strlen(name) + 1);
		pthread_mutex_unlock(&lock);
	}
	(void)path;
}

int openat64(int dir, const char *path, int flags, ...)
{
	REAL(int, "openat64", int, const char *, int, ...);
	va_list ap;
	va_start(ap, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	struct stat st;
	int before = errno;
	bool made = watch_len && flags & O_CREAT && fstatat(dir, path, &st, 0) && errno == ENOENT;
	errno = before;
	int fd = real(dir, path, flags, mode);
	before = errno;
	if (watch_len)
		opened(fd, path, made);
	errno = before;
	return fd;
}

#define OPEN(name, first, second)                                                                                                            \
	int name first                                                                                                                       \
	{                                                                                                                                    \
		va_list ap;                                                                                                                  \
		va_start(ap, flags);                                                                                                         \
		mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;                                                        \
		va_end(ap);                                                                                                                  \
		return openat64 second;                                                                                                      \
	}
OPEN(open, (const char *path, int flags, ...), (AT_FDCWD, path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (AT_FDCWD, path, flags, mode))
OPEN(openat, (int dir, const char *path, int flags, ...), (dir, path, flags, mode))

/* A name goes away: a link of ours keeps what it meant. */
static void keep(const char *path, char *ret)
{
	*ret = '\0';
	struct stat st;
	if (undo < 0 || stat(path, &st) || !S_ISREG(st.st_mode))
		return;
	mkdir(shadow, 0700);
	snprintf(ret, PATH_MAX, "%s/%d.%llu", shadow, (int)getpid(), (unsigned long long)++links);
	if (link(path, ret)) {
		fprintf(stderr, "fault.so: link %s %s: %s\n", path, ret, strerror(errno));
		_exit(3);
	}
}

static size_t put(char *dst, size_t n, const char *text)
{
	size_t len = strlen(text) + 1;
	memcpy(dst + n, text, len);
	return n + len;
}

int unlinkat(int dir, const char *path, int flags)
{
	REAL(int, "unlinkat", int, const char *, int);
	char name[PATH_MAX], kept[PATH_MAX], both[2 * PATH_MAX];
	if (flags || !watch_len || !absolute(dir, path, name) || !below(name))
		return real(dir, path, flags);
	pthread_mutex_lock(&lock);
	keep(name, kept);
	size_t n = put(both, put(both, 0, name), kept);
	if (*kept)
		record('U', inode_of(name, false), inode_of(name, true), 0, both, n);
	int rc = real(dir, path, flags);
	pthread_mutex_unlock(&lock);
	return rc;
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	REAL(int, "renameat", int, const char *, int, const char *);
	char a[PATH_MAX], b[PATH_MAX], kept[PATH_MAX], all[3 * PATH_MAX];
	if (!watch_len || !absolute(from_dir, from, a) || !absolute(to_dir, to, b) || !below(b))
		return real(from_dir, from, to_dir, to);
	pthread_mutex_lock(&lock);
	keep(b, kept);
	size_t n = put(all, put(all, put(all, 0, a), b), kept);
	record('R', inode_of(a, false), inode_of(b, true), 0, all, n);
	int rc = real(from_dir, from, to_dir, to);
	pthread_mutex_unlock(&lock);
	return rc;
}

int rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

/* ---- memory */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

static bool no_memory(void)
{
	if (!__atomic_load_n(&control->alloc_after, __ATOMIC_RELAXED))
		return false;
	uint32_t left = __atomic_sub_fetch(&control->alloc_after, 1, __ATOMIC_RELAXED);
	if (left)
		return false;
	uint32_t more = __atomic_load_n(&control->alloc_count, __ATOMIC_RELAXED);
	if (more > 1) {
		__atomic_store_n(&control->alloc_count, more - 1, __ATOMIC_RELAXED);
		__atomic_store_n(&control->alloc_after, 1, __ATOMIC_RELAXED);
	}
	__atomic_add_fetch(&control->allocs_failed, 1, __ATOMIC_RELAXED);
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	return no_memory() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return no_memory() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return n && no_memory() ? NULL : __libc_realloc(p, n);
}
