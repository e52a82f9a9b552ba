/* SPDX-License-Identifier: Apache-2.0 */
/* What goes on working, what is reported, and what happens where the kernel has less. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/kept.h"
#include "world.h"

static struct world w;
static bool can; /* seccomp and Landlock are there */

#define MUST(condition)                \
	do {                           \
		if (!(condition))      \
			return __LINE__ % 250; \
	} while (0)

/* ---- what goes on working */

static int files_work(const struct world *x)
{
	char a[128], b[128];
	struct stat st;
	MUST(!world_open(x->config, O_RDONLY) && !world_open(x->certificate, O_RDONLY));
	snprintf(a, sizeof a, "%s/a", x->state);
	snprintf(b, sizeof b, "%s/folder", x->state);
	MUST(world_spill(a, "a") && !mkdir(b, 0700));
	snprintf(b, sizeof b, "%s/folder/b", x->state);
	MUST(!rename(a, b) && !stat(b, &st));
	int fd = open(b, O_RDWR | O_CLOEXEC);
	MUST(fd >= 0 && !flock(fd, LOCK_EX) && !ftruncate(fd, 0) && !fchmod(fd, 0400) && !fsync(fd) && !close(fd) && !unlink(b));
	snprintf(b, sizeof b, "%s/folder", x->state);
	MUST(!rmdir(b));
	fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	MUST(fd >= 0 && write(fd, "x", 1) == 1);
	MUST(!world_open("/dev/urandom", O_RDONLY) && !world_open("/etc/passwd", O_RDONLY) && !world_open("/proc/self/statm", O_RDONLY));
	DIR *d = opendir("/proc/self/fd");
	MUST(d && readdir(d) && !closedir(d));
	return 0;
}

/* An edge keeps a log of changes and no database. */
static int edge_works(const struct world *x)
{
	char a[128], b[128];
	MUST(!world_open(x->config, O_RDONLY) && !world_open(x->certificate, O_RDONLY));
	snprintf(a, sizeof a, "%s/a", x->state);
	snprintf(b, sizeof b, "%s/b", x->state);
	MUST(world_spill(a, "a") && !rename(a, b));
	int fd = open(b, O_RDWR | O_CLOEXEC);
	MUST(fd >= 0 && !flock(fd, LOCK_EX) && !ftruncate(fd, 0) && !fsync(fd) && !close(fd) && !unlink(b));
	return 0;
}

static int sockets_work(const struct world *x)
{
	struct sockaddr_un u = {.sun_family = AF_UNIX};
	struct sockaddr_in a = world_loopback(x->ours), any = world_loopback(0);
	int pair[2], one = 1;
	char b[2];
	snprintf(u.sun_path, sizeof u.sun_path, "%.90s/control.sock", x->run);
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(s >= 0 && !bind(s, (struct sockaddr *)&u, sizeof u) && !listen(s, 1));
	int c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(c >= 0 && !connect(c, (struct sockaddr *)&u, sizeof u) && !unlink(u.sun_path));
	s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(s >= 0 && !setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) && !bind(s, (struct sockaddr *)&a, sizeof a) && !listen(s, 1));
	c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(c >= 0 && !bind(c, (struct sockaddr *)&any, sizeof any) && !connect(c, (struct sockaddr *)&a, sizeof a));
	c = accept4(s, NULL, NULL, SOCK_CLOEXEC);
	MUST(c >= 0);
	/* a descriptor that another process opened: the systemd socket store and the keeper give them */
	MUST(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof c)];
	} control = {.h = {.cmsg_len = CMSG_LEN(sizeof c), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	memcpy(CMSG_DATA(&control.h), &c, sizeof c);
	struct iovec io = {b, 1};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	MUST(sendmsg(pair[0], &m, 0) == 1 && recvmsg(pair[1], &m, MSG_CMSG_CLOEXEC) == 1 && m.msg_controllen);
	return 0;
}

static void *thread(void *arg)
{
	*(int *)arg = world_open(w.secret, O_RDONLY); /* threads inherit it */
	prctl(PR_SET_NAME, "thread", 0, 0, 0);
	return NULL;
}

static int process_works(const struct world *x)
{
	pthread_t t;
	int opened = 0;
	struct rlimit r;
	struct rusage u;
	(void)x;
	MUST(!pthread_create(&t, NULL, thread, &opened) && !pthread_join(t, NULL) && opened == EACCES);
	MUST(!getrlimit(RLIMIT_NOFILE, &r) && !setrlimit(RLIMIT_NOFILE, &r) && !getrusage(RUSAGE_SELF, &u));
	MUST(!getrlimit(RLIMIT_CORE, &r) && !r.rlim_cur && !r.rlim_max);
	MUST(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	signal(SIGUSR1, SIG_IGN);
	MUST(!raise(SIGUSR1) && !kill(getpid(), SIGUSR1));
	void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED && !mprotect(p, 4096, PROT_READ) && !munmap(p, 1 << 20));
	return 0;
}

static int crashes(const struct world *x)
{
	(void)x;
	abort(); /* a handler, or the kernel, must see the true signal */
}

static void test_works(void **state)
{
	(void)state;
	if (!can)
		return;
	static const enum sandbox_role roles[] = {SANDBOX_ALL, SANDBOX_EDGE, SANDBOX_GATEWAY};
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		assert_int_equal(world_try(&w, roles[i], false, roles[i] == SANDBOX_EDGE ? edge_works : files_work), 0);
		assert_int_equal(world_try(&w, roles[i], false, sockets_work), 0);
		assert_int_equal(world_try(&w, roles[i], false, process_works), 0);
	}
	assert_int_equal(world_try(&w, SANDBOX_ALL, false, crashes), ENDED_OTHERWISE); /* not by SIGSYS */
}

/* ---- renewal: another file is put in the place of the one that was there */

static int replaced(const struct world *x)
{
	struct sandbox_level l;
	struct entente_err err;
	char fresh[128], seen[64] = "";
	struct sandbox_paths *p = sandbox_paths_new();
	sandbox_paths_file(p, x->certificate);
	sandbox_paths_file(p, x->config);
	int outside = open(x->top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(fresh, sizeof fresh, "%s/link.pem", x->run);
	sandbox_paths_file(p, fresh); /* a link that leads to the folder elsewhere */
	MUST(sandbox_paths_cover(p, x->certificate) && !sandbox_paths_cover(p, x->key) && sandbox_paths_cover(p, ""));
	MUST(sandbox_paths_cover(p, x->secret)); /* there the link leads */
	MUST(!sandbox_paths_cover(p, "/etc/shadow") && !sandbox_paths_cover(p, x->state));
	sandbox_paths_write(p, x->state);
	sandbox_paths_write(p, x->shared);
	const char *const keys[] = {x->key, x->certificate}; /* one of them is beside what must be read */
	MUST(!sandbox_enter(&(struct sandbox_opts){.mode = SANDBOX_REQUIRED, .paths = p, .keys = keys, .n_keys = 2}, &l, &err));
	MUST(l.files && !l.hidden && !l.ports);
	snprintf(fresh, sizeof fresh, "%s/new", x->shared);
	MUST(world_spill(fresh, "renewed") && !rename(fresh, x->secret));
	snprintf(fresh, sizeof fresh, "%s/link.pem", x->run);
	int fd = open(fresh, O_RDONLY | O_CLOEXEC);
	MUST(fd >= 0 && read(fd, seen, sizeof seen - 1) == 7 && !strcmp(seen, "renewed"));
	MUST(openat(outside, "elsewhere/nobody", O_RDONLY | O_CLOEXEC) < 0 && errno == ENOENT);
	return 0;
}

static void test_replaced(void **state)
{
	(void)state;
	char link[128];
	if (!can)
		return;
	snprintf(link, sizeof link, "%s/link.pem", w.run);
	assert_int_equal(symlink("../elsewhere/secret", link), 0);
	assert_int_equal(world_child(replaced, &w), 0);
	unlink(link);
	assert_true(world_spill(w.secret, "secret"));
}

/* ---- a file that is kept: /etc/passwd is such a one */

static int first_of(const char *path, bool *ret_old)
{
	FILE *f = kept_open(path, ret_old);
	int c = f ? getc(f) : 0;
	if (f)
		fclose(f);
	return c;
}

static int go[2], ready[2];

static int kept_child(const struct world *x)
{
	struct sandbox_level l;
	struct entente_err err;
	struct sandbox_paths *p = sandbox_paths_new();
	bool old = true;
	char b;
	kept_file(x->secret);
	sandbox_paths_read(p, x->secret);
	MUST(!sandbox_enter(&(struct sandbox_opts){.mode = SANDBOX_REQUIRED, .paths = p}, &l, &err));
	MUST(first_of(x->secret, &old) == 's' && !old);
	MUST(write(ready[1], "r", 1) == 1 && read(go[0], &b, 1) == 1);
	for (int i = 0; i < 3; i++)
		MUST(first_of(x->secret, &old) == 's' && old);
	MUST(!kept_open(x->key, &old) && errno == EACCES && !old);
	MUST(!kept_open("/nowhere", NULL));
	return 0;
}

static void test_kept(void **state)
{
	(void)state;
	char fresh[128], b;
	bool old = true;
	int status = -1;
	if (!can)
		return;
	assert_int_equal(pipe2(go, O_CLOEXEC) || pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (!pid)
		_exit(kept_child(&w));
	snprintf(fresh, sizeof fresh, "%s/new", w.shared);
	close(ready[1]);
	if (read(ready[0], &b, 1) == 1) { /* else it has ended: its status says where */
		assert_true(world_spill(fresh, "fresh"));
		assert_int_equal(rename(fresh, w.secret), 0);
		assert_int_equal(write(go[1], "g", 1), 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	kept_file(w.secret);
	assert_int_equal(first_of(w.secret, &old), 'f'); /* who is not locked in sees what is there */
	assert_false(old);
	assert_true(world_spill(w.secret, "secret"));
}

/* ---- too broad a folder is not opened */

static int broad(const struct world *x)
{
	struct sandbox_level l;
	struct entente_err err;
	struct sandbox_paths *p = sandbox_paths_new();
	(void)x;
	sandbox_paths_file(p, "/etc/hostname");
	sandbox_paths_file(p, "/etc/../etc/passwd");
	MUST(!sandbox_paths_cover(p, "/etc/shadow") && sandbox_paths_cover(p, "/etc/passwd"));
	MUST(!sandbox_enter(&(struct sandbox_opts){.mode = SANDBOX_REQUIRED, .paths = p}, &l, &err));
	MUST(!world_open("/etc/passwd", O_RDONLY));
	MUST(world_open("/etc/group", O_RDONLY) == EACCES);
	return 0;
}

static void test_broad(void **state)
{
	(void)state;
	if (!can)
		return;
	assert_int_equal(world_child(broad, &w), 0);
}

/* ---- levels */

static int without_landlock(void)
{
	scmp_filter_ctx x = seccomp_init(SCMP_ACT_ALLOW);
	int rc = x ? seccomp_rule_add(x, SCMP_ACT_ERRNO(ENOSYS), 444, 0) : -1;
	rc = rc ? rc : seccomp_load(x);
	seccomp_release(x);
	return rc;
}

static int required_without(const struct world *x)
{
	struct sandbox_level l;
	struct entente_err err = {0};
	MUST(!without_landlock());
	MUST(world_enter(x, SANDBOX_ALL, SANDBOX_REQUIRED, &l, &err) == ENTENTE_EUNSUPPORTED);
	MUST(strstr(err.text, "Landlock") && !l.files && l.landlock == 0);
	return 0;
}

static int on_without(const struct world *x)
{
	struct sandbox_level l;
	struct entente_err err = {0};
	char text[200];
	MUST(!without_landlock());
	MUST(!world_enter(x, SANDBOX_ALL, SANDBOX_ON, &l, &err));
	MUST(l.entered && l.syscalls && l.privileges && !l.files && !l.hidden && strstr(l.why, "Landlock"));
	MUST(strstr(sandbox_level_text(&l, text, sizeof text), "no Landlock") && strstr(text, "seccomp ("));
	MUST(!world_open(x->key, O_RDONLY));
	return 0;
}

static int off(const struct world *x)
{
	struct sandbox_level l;
	struct entente_err err = {0};
	char text[200];
	MUST(!world_enter(x, SANDBOX_ALL, SANDBOX_OFF, &l, &err));
	MUST(!l.entered && !l.syscalls && !l.files && !*l.why);
	MUST(!strcmp(sandbox_level_text(&l, text, sizeof text), l.built ? "off" : "none: built for tests"));
	MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 && !world_open(x->key, O_RDONLY));
	return 0;
}

static int all_of_it(const struct world *x)
{
	struct sandbox_level l;
	struct entente_err err = {0};
	char text[200];
	MUST(!world_enter(x, SANDBOX_ALL, SANDBOX_REQUIRED, &l, &err));
	MUST(l.built && l.entered && l.privileges && l.syscalls && l.files && l.hidden && l.allowed > 50 && l.allowed < 200 && l.landlock > 0 && !l.capabilities);
	MUST(l.ports == (l.landlock >= 4) && l.scoped == (l.landlock >= 6));
	sandbox_level_text(&l, text, sizeof text);
	MUST(strstr(text, "seccomp (") && strstr(text, "without keys") && strstr(text, "no capabilities"));
	return 0;
}

static void *sleeper(void *arg)
{
	pause();
	return arg;
}

static int with_threads(const struct world *x)
{
	pthread_t t;
	struct sandbox_level l;
	struct entente_err err = {0};
	MUST(!pthread_create(&t, NULL, sleeper, NULL));
	MUST(world_enter(x, SANDBOX_ALL, SANDBOX_ON, &l, &err) == ENTENTE_EINVAL && !l.entered);
	return 0;
}

static void test_levels(void **state)
{
	(void)state;
	assert_int_equal(world_child(off, &w), 0);
	if (!can)
		return;
	assert_int_equal(world_child(all_of_it, &w), 0);
	assert_int_equal(world_child(required_without, &w), 0);
	assert_int_equal(world_child(on_without, &w), 0);
	assert_int_equal(world_child(with_threads, &w), 0);
}

/* A build for tests says that it has none, and does not start where one is required. */
static int built_without(const struct world *x)
{
	struct sandbox_level l;
	struct entente_err err = {0};
	MUST(!world_enter(x, SANDBOX_ALL, SANDBOX_ON, &l, &err) && !l.built && !l.entered && *l.why);
	MUST(world_enter(x, SANDBOX_ALL, SANDBOX_REQUIRED, &l, &err) == ENTENTE_EUNSUPPORTED);
	return 0;
}

static void test_built_without(void **state)
{
	(void)state;
#ifdef ENTENTE_NO_SANDBOX
	assert_int_equal(world_child(built_without, &w), 0);
#else
	(void)built_without;
#endif
}

static int look(const struct world *x)
{
	struct sandbox_level l;
	struct entente_err err;
	return world_enter(x, SANDBOX_ALL, SANDBOX_REQUIRED, &l, &err) != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_works), cmocka_unit_test(test_replaced), cmocka_unit_test(test_kept), cmocka_unit_test(test_broad), cmocka_unit_test(test_levels),
		cmocka_unit_test(test_built_without),
	};
	world_make(&w);
	can = world_child(look, &w) == 0;
	if (!can)
		puts("# seccomp and Landlock are not both to be had: what needs them is passed over"); /* TAP's SKIP is a failure to cmocka 1.1 */
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	world_remove(&w);
	return rc;
}
