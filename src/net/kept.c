/* SPDX-License-Identifier: Apache-2.0 */
#include "net/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

struct kept {
	int fd;                   /* -1: given up */
	int type;                 /* SOCK_STREAM, SOCK_DGRAM; 0: memory */
	struct addr at;           /* sa_family AF_UNIX: path instead */
	char path[sizeof((struct sockaddr_un *)0)->sun_path + 1];
	char name[KEPT_NAME];
	bool taken;
};

static struct {
	pthread_mutex_t lock;
	struct kept list[KEPT_MAX];
	size_t n;
	unsigned put;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- names: printable, without a colon (FDNAME of sd_notify(3)); one for each socket, so that it can be given up alone */

static void name_of(char ret[KEPT_NAME], int type, const struct addr *at)
{
	char z[ADDR_TEXT];
	addr_text(at, z);
	for (char *p = z; *p; p++)
		if (*p == ':')
			*p = '-';
	snprintf(ret, KEPT_NAME, "entente %s %s", type == SOCK_DGRAM ? "udp" : "tcp", z);
}

/* With the file, so that one that somebody has put in its place is not taken for it. False: there is none. */
static bool name_of_unix(char ret[KEPT_NAME], const char *path)
{
	struct stat s;
	if (stat(path, &s) || !S_ISSOCK(s.st_mode))
		return false;
	snprintf(ret, KEPT_NAME, "entente unix %ju %.200s", (uintmax_t)s.st_ino, path);
	for (char *p = ret; *p; p++)
		if (*p == ':' || *p < ' ' || *p > '~')
			*p = '-';
	return true;
}

static bool is_ours(const char *name)
{
	return strncmp(name, "entente ", 8) == 0;
}

/* ---- systemd */

static void tell_put(int fd, const char *name)
{
	char text[KEPT_NAME + 40];
	/* without FDPOLL=0 an error that waits on a socket would throw it out */
	int n = snprintf(text, sizeof text, "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	if (n > 0 && (size_t)n < sizeof text && sd_pid_notify_with_fds(0, 0, text, &fd, 1) > 0)
		table.put++;
}

static void tell_remove(const char *name)
{
	sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

bool kept_active(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

/* ---- what came with the start */

static bool describe(struct kept *k)
{
	struct sockaddr_storage ss = {0};
	const struct sockaddr_un *un = (const struct sockaddr_un *)&ss;
	socklen_t n = sizeof ss, len = sizeof k->type;
	if (getsockopt(k->fd, SOL_SOCKET, SO_TYPE, &k->type, &len)) {
		k->type = 0;
		return false;
	}
	if (getsockname(k->fd, (struct sockaddr *)&ss, &n))
		return false;
	if (ss.ss_family == AF_UNIX && k->type == SOCK_STREAM && n > offsetof(struct sockaddr_un, sun_path) && un->sun_path[0]) {
		k->at.sa.sa_family = AF_UNIX;
		memcpy(k->path, un->sun_path, n - offsetof(struct sockaddr_un, sun_path)); /* one longer than sun_path, and zeroed */
		return true;
	}
	return (k->type == SOCK_STREAM || k->type == SOCK_DGRAM) && addr_from_sockaddr((struct sockaddr *)&ss, &k->at);
}

unsigned kept_begin(void)
{
	char **names = NULL;
	unsigned sockets = 0;
	int n = sd_listen_fds_with_names(1, &names);
	pthread_mutex_lock(&table.lock);
	for (int i = 0; i < n; i++) {
		struct kept k = {.fd = SD_LISTEN_FDS_START + i};
		if (table.n == KEPT_MAX) {
			close(k.fd);
			continue;
		}
		snprintf(k.name, sizeof k.name, "%s", names && names[i] ? names[i] : "unknown");
		sockets += describe(&k);
		table.list[table.n++] = k;
	}
	pthread_mutex_unlock(&table.lock);
	for (int i = 0; names && i < n; i++)
		free(names[i]);
	free(names);
	return sockets;
}

static int use(struct kept *k)
{
	int fd = fcntl(k->fd, F_DUPFD_CLOEXEC, 3), flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || (k->type == SOCK_STREAM && listen(fd, BACKLOG))) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	k->taken = true;
	return fd;
}

int kept_take(int type, const struct addr *at)
{
	int fd = -1;
	if (!addr_port(at))
		return -1;
	pthread_mutex_lock(&table.lock);
	for (size_t i = 0; i < table.n && fd < 0; i++) {
		struct kept *k = &table.list[i];
		if (k->fd >= 0 && k->type == type && k->at.sa.sa_family == at->sa.sa_family && addr_eq(&k->at, at))
			fd = use(k);
	}
	pthread_mutex_unlock(&table.lock);
	return fd;
}

/* /run and /var/run: who opens it anew because of the spelling finds that somebody answers there, himself. */
static bool same_file(const char *a, const char *b)
{
	struct stat s, t;
	return !strcmp(a, b) || (!stat(a, &s) && !stat(b, &t) && s.st_dev == t.st_dev && s.st_ino == t.st_ino);
}

int kept_take_unix(const char *path)
{
	char name[KEPT_NAME];
	int fd = -1;
	pthread_mutex_lock(&table.lock);
	for (size_t i = 0; i < table.n && fd < 0; i++) {
		struct kept *k = &table.list[i];
		if (k->fd >= 0 && k->at.sa.sa_family == AF_UNIX && same_file(k->path, path) && name_of_unix(name, k->path) && (!is_ours(k->name) || !strcmp(k->name, name)))
			fd = use(k);
	}
	pthread_mutex_unlock(&table.lock);
	return fd;
}

/* ---- what we opened */

void kept_put(int fd, int type, const struct addr *at)
{
	char name[KEPT_NAME];
	if (!kept_active() || !addr_port(at))
		return;
	name_of(name, type, at);
	pthread_mutex_lock(&table.lock);
	tell_put(fd, name);
	pthread_mutex_unlock(&table.lock);
}

void kept_put_unix(int fd, const char *path)
{
	char name[KEPT_NAME];
	if (!kept_active() || !name_of_unix(name, path))
		return;
	pthread_mutex_lock(&table.lock);
	tell_put(fd, name);
	pthread_mutex_unlock(&table.lock);
}

/* ---- giving up */

static void give_up(struct kept *k)
{
	if (is_ours(k->name)) /* what a socket unit has is its own */
		tell_remove(k->name);
	close(k->fd);
	k->fd = -1;
}

bool kept_make_room(int type, const struct addr *at)
{
	bool some = false;
	pthread_mutex_lock(&table.lock);
	for (size_t i = 0; i < table.n; i++) {
		struct kept *k = &table.list[i];
		if (k->fd < 0 || k->taken || k->type != type || k->at.sa.sa_family == AF_UNIX || addr_port(&k->at) != addr_port(at))
			continue;
		give_up(k);
		some = true;
	}
	pthread_mutex_unlock(&table.lock);
	if (some)
		sd_notify_barrier(0, (uint64_t)KEPT_WAIT_MS * 1000);
	return some;
}

void kept_end(void (*told)(void *arg, const char *name), void *arg)
{
	pthread_mutex_lock(&table.lock);
	for (size_t i = 0; i < table.n; i++) {
		struct kept *k = &table.list[i];
		if (k->fd < 0 || k->taken)
			continue;
		if (told)
			told(arg, k->name);
		give_up(k);
	}
	pthread_mutex_unlock(&table.lock);
}

/* ---- memory */

static void *map_memory(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

void *kept_memory(const char *name, size_t size)
{
	char full[KEPT_NAME];
	struct stat s;
	void *found = NULL;
	snprintf(full, sizeof full, "entente memory %s", name);
	if (!kept_active())
		return NULL;
	pthread_mutex_lock(&table.lock);
	for (size_t i = 0; i < table.n && !found; i++) {
		struct kept *k = &table.list[i];
		if (k->fd < 0 || k->type || strcmp(k->name, full))
			continue;
		if (fstat(k->fd, &s) || !S_ISREG(s.st_mode) || (size_t)s.st_size != size || !(found = map_memory(k->fd, size)))
			give_up(k); /* of another version */
		else
			k->taken = true;
	}
	if (!found) {
		int fd = memfd_create("entente", MFD_CLOEXEC);
		if (fd >= 0 && !ftruncate(fd, (off_t)size) && (found = map_memory(fd, size)))
			tell_put(fd, full);
		if (fd >= 0)
			close(fd);
	}
	pthread_mutex_unlock(&table.lock);
	return found;
}

/* ---- looking */

void kept_facts(struct kept_facts *ret)
{
	*ret = (struct kept_facts){0};
	pthread_mutex_lock(&table.lock);
	ret->put = table.put;
	for (size_t i = 0; i < table.n; i++)
		ret->taken += table.list[i].fd >= 0 && table.list[i].taken && table.list[i].type;
	pthread_mutex_unlock(&table.lock);
}

void kept_reset(void)
{
	for (size_t i = 0; i < table.n; i++)
		if (table.list[i].fd >= 0)
			close(table.list[i].fd);
	table.n = 0;
	table.put = 0;
}
