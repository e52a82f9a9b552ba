/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that outlive the process: the test plays systemd. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "net/kept.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/udp.h"
#include "net/unix.h"

enum { FIRST = 3, FDS = 8 }; /* the latter: nothing else is below FIRST + FDS */

struct manager { /* systemd */
	char dir[64], notify[96], control[96];
	int fd;
	int kept[16];
	char names[16][KEPT_NAME];
	size_t n;
	char removed[512]; /* names, with a newline behind each */
};

static struct manager M;

static int setup(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	memset(&M, 0, sizeof M);
	for (int i = 0; i < FDS; i++)
		if (fcntl(FIRST + i, F_GETFD) < 0)
			dup2(0, FIRST + i);
	snprintf(M.dir, sizeof M.dir, "/tmp/kept.XXXXXX");
	assert_non_null(mkdtemp(M.dir));
	snprintf(M.notify, sizeof M.notify, "%s/notify", M.dir);
	snprintf(M.control, sizeof M.control, "%s/control", M.dir);
	memcpy(at.sun_path, M.notify, strlen(M.notify));
	M.fd = fcntl(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), F_DUPFD_CLOEXEC, 100);
	assert_int_equal(bind(M.fd, (struct sockaddr *)&at, sizeof at), 0);
	setenv("NOTIFY_SOCKET", M.notify, 1);
	*state = &M;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kept_reset();
	unsetenv("NOTIFY_SOCKET");
	for (size_t i = 0; i < M.n; i++)
		close(M.kept[i]);
	close(M.fd);
	unlink(M.notify);
	unlink(M.control);
	rmdir(M.dir);
	return 0;
}

/* Reads all that was said. */
static void hear(void)
{
	for (;;) {
		char text[1024], control[CMSG_SPACE(sizeof(int))], *name;
		struct iovec iov = {text, sizeof text - 1};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
		ssize_t n = recvmsg(M.fd, &m, MSG_CMSG_CLOEXEC);
		if (n < 0)
			return;
		text[n] = 0;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		int fd = -1;
		if (c && c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof fd);
		name = strstr(text, "FDNAME=");
		if (name)
			name[strcspn(name, "\n")] = 0;
		if (!strncmp(text, "FDSTORE=1", 9)) {
			assert_true(fd >= 0 && name && M.n < 16);
			assert_non_null(strstr(text, "FDPOLL=0"));
			assert_null(strchr(name + 7, ':'));
			snprintf(M.names[M.n], sizeof M.names[0], "%s", name + 7);
			M.kept[M.n++] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
		} else if (!strncmp(text, "FDSTOREREMOVE=1", 15)) {
			size_t len = strlen(M.removed);
			snprintf(M.removed + len, sizeof M.removed - len, "%s\n", name + 7);
		}
		if (fd >= 0)
			close(fd); /* the barrier's, too */
	}
}

/* The process ends, and the next one gets what is kept: with the environment that it would have. */
static void next_life(void)
{
	char names[4096] = "", n[16], pid[16];
	kept_reset();
	hear();
	for (size_t i = 0; i < M.n; i++) {
		dup2(M.kept[i], FIRST + (int)i);
		snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ":" : "", M.names[i]);
	}
	snprintf(n, sizeof n, "%zu", M.n);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("LISTEN_FDS", n, 1);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

static struct addr at(const char *text, uint16_t port)
{
	struct addr a;
	assert_true(addr_parse(slice_str(text), port, &a));
	return a;
}

/* Some port that is free now, for this kind. */
static uint16_t a_port(int type)
{
	struct addr a = at("127.0.0.1", 0);
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, type, 0);
	assert_int_equal(bind(fd, &a.sa, addr_len(&a)), 0);
	assert_int_equal(getsockname(fd, &a.sa, &n), 0);
	close(fd);
	return addr_port(&a);
}

static int caller(const struct addr *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, &to->sa, addr_len(to))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void no_one(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	(void)w, (void)from;
	*(unsigned *)arg += 1;
	close(fd);
	gate_leave(pass);
}

static void a_listener_outlives_the_process(void **state)
{
	(void)state;
	struct loop *loop;
	struct listener *l;
	unsigned seen = 0;
	struct listener_opts o = {.addr = at("127.0.0.1", a_port(SOCK_STREAM)), .kept = LISTENER_KEPT, .accepted = no_one, .arg = &seen};
	assert_int_equal(loop_new(&loop, NULL, NULL), 0);
	assert_int_equal(kept_begin(), 0);
	assert_int_equal(listener_new(&l, loop, &o, NULL), 0);
	listener_free(l);
	hear();
	assert_int_equal(M.n, 1);
	int client = caller(&o.addr); /* between two processes */
	assert_true(client >= 0);
	next_life();
	assert_int_equal(kept_begin(), 1);
	assert_null(getenv("LISTEN_FDS"));
	assert_int_equal(fcntl(FIRST, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(listener_new(&l, loop, &o, NULL), 0);
	while (!seen)
		loop_once(loop, 1000);
	hear();
	assert_int_equal(M.n, 1); /* it is there already */
	struct kept_facts f;
	kept_facts(&f);
	assert_int_equal(f.taken, 1);
	assert_int_equal(f.put, 0);
	kept_end(NULL, NULL);
	hear();
	assert_string_equal(M.removed, "");
	listener_free(l);
	close(client);
	loop_free(loop);
}

static void told(void *arg, const char *name)
{
	size_t len = strlen(arg);
	snprintf((char *)arg + len, 512 - len, "%s;", name);
}

static void what_is_not_wanted_is_closed(void **state)
{
	(void)state;
	char names[512] = "", want[512];
	struct addr a = at("127.0.0.1", a_port(SOCK_STREAM)), other = at("127.0.0.2", addr_port(&a));
	struct listener_opts o = {.addr = a, .kept = LISTENER_KEPT};
	int fd = listener_socket(&o, NULL);
	assert_true(fd >= 0);
	close(fd);
	next_life();
	kept_begin();
	assert_int_equal(kept_take(SOCK_STREAM, &other), -1);
	assert_int_equal(kept_take(SOCK_DGRAM, &a), -1);
	kept_end(told, names);
	hear();
	snprintf(want, sizeof want, "entente tcp 127.0.0.1-%u;", addr_port(&a));
	assert_string_equal(names, want);
	want[strlen(want) - 1] = '\n';
	assert_string_equal(M.removed, want);
	assert_int_equal(fcntl(FIRST, F_GETFD), -1);
	close(M.kept[--M.n]);
	assert_int_equal(caller(&a), -1);
}

/* 0.0.0.0 in the place of one address: the old socket would be in the way. */
static void an_old_socket_makes_room(void **state)
{
	(void)state;
	uint16_t port = a_port(SOCK_STREAM);
	struct listener_opts o = {.addr = at("127.0.0.1", port), .kept = LISTENER_KEPT}, any = {.addr = at("0.0.0.0", port), .kept = LISTENER_KEPT};
	struct entente_err err = {0};
	int fd = listener_socket(&o, NULL), again;
	assert_true(fd >= 0);
	close(fd);
	next_life();
	close(M.kept[--M.n]); /* it will do so when it is told; here nobody could in time */
	kept_begin();
	again = listener_socket(&any, &err);
	assert_true(again >= 0);
	hear();
	assert_non_null(strstr(M.removed, "127.0.0.1"));
	assert_int_equal(M.n, 1);
	assert_int_equal(kept_take(SOCK_STREAM, &o.addr), -1);
	/* one that is in use is never given up */
	any.addr = at("127.0.0.1", port);
	assert_int_equal(listener_socket(&any, &err), ENTENTE_ENET);
	close(again);
}

static struct udp *got;
static char datagram_text[64];
static void on_datagram(struct udp *u, const struct addr *from, struct slice in)
{
	(void)from;
	got = u;
	slice_cstr(in, datagram_text, sizeof datagram_text);
}

static void datagrams_wait(void **state)
{
	(void)state;
	struct loop *loop;
	struct udp *u;
	struct udp_opts o = {.addr = at("127.0.0.1", a_port(SOCK_DGRAM)), .data = on_datagram, .kept = true};
	assert_int_equal(loop_new(&loop, NULL, NULL), 0);
	assert_int_equal(udp_open(&u, loop, &o, NULL), 0);
	udp_close(u);
	hear();
	assert_int_equal(M.n, 1);
	int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(sendto(client, "hello", 5, 0, &o.addr.sa, addr_len(&o.addr)), 5);
	next_life();
	assert_int_equal(kept_begin(), 1);
	assert_int_equal(udp_open(&u, loop, &o, NULL), 0);
	while (!got)
		loop_once(loop, 1000);
	assert_string_equal(datagram_text, "hello");
	udp_close(u);
	close(client);
	loop_free(loop);
}

static int dial(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
	if (connect(fd, (struct sockaddr *)&to, sizeof to)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void a_unix_socket_is_known_by_its_file(void **state)
{
	(void)state;
	struct entente_err err = {0};
	int fd = unix_listen(M.control, "x", &err), client, s;
	assert_true(fd >= 0);
	unix_close(fd, M.control);
	assert_int_equal(access(M.control, F_OK), 0);
	client = dial(M.control);
	assert_true(client >= 0);
	next_life();
	assert_int_equal(kept_begin(), 1);
	fd = unix_listen(M.control, "x", &err);
	assert_true(fd >= 0);
	s = accept(fd, NULL, NULL);
	assert_true(s >= 0);
	close(s);
	close(client);
	close(fd);
	/* the configuration says it in other words */
	char other[sizeof M.control + 8];
	snprintf(other, sizeof other, "%.*s/.%s", (int)(strrchr(M.control, '/') - M.control), M.control, strrchr(M.control, '/'));
	next_life();
	kept_begin();
	fd = unix_listen(other, "x", &err);
	assert_true(fd >= 0);
	close(fd);
	/* somebody has removed the file: nobody would find us there */
	next_life();
	unlink(M.control);
	kept_begin();
	fd = unix_listen(M.control, "x", &err);
	assert_true(fd >= 0);
	client = dial(M.control);
	assert_true(client >= 0);
	s = accept(fd, NULL, NULL);
	assert_true(s >= 0);
	close(s);
	close(client);
	close(fd);
	hear();
	/* or put another one in its place */
	next_life();
	unlink(M.control);
	int file = open(M.control, O_CREAT | O_WRONLY, 0600);
	close(file);
	kept_begin();
	assert_int_equal(kept_take_unix(M.control), -1);
}

static void memory_goes_along(void **state)
{
	(void)state;
	uint64_t *m = kept_memory("starts", 64);
	assert_non_null(m);
	assert_int_equal(m[3], 0);
	m[3] = 17;
	hear();
	assert_int_equal(M.n, 1);
	next_life();
	assert_int_equal(kept_begin(), 0); /* no socket */
	m = kept_memory("starts", 64);
	assert_non_null(m);
	assert_int_equal(m[3], 17);
	kept_end(NULL, NULL);
	hear();
	assert_int_equal(M.n, 1);
	assert_string_equal(M.removed, "");
	/* of another size: begun anew */
	next_life();
	kept_begin();
	m = kept_memory("starts", 128);
	assert_non_null(m);
	assert_int_equal(m[3], 0);
	hear();
	assert_string_equal(M.removed, "entente memory starts\n");
}

static void without_anybody_nothing_is_kept(void **state)
{
	(void)state;
	struct listener_opts o = {.addr = at("127.0.0.1", a_port(SOCK_STREAM)), .kept = LISTENER_KEPT};
	unsetenv("NOTIFY_SOCKET");
	unsetenv("LISTEN_FDS");
	assert_int_equal(kept_begin(), 0);
	int fd = listener_socket(&o, NULL);
	assert_true(fd >= 0);
	close(fd);
	assert_null(kept_memory("starts", 64));
	fd = unix_listen(M.control, "x", NULL);
	assert_true(fd >= 0);
	unix_close(fd, M.control);
	assert_int_equal(access(M.control, F_OK), -1);
	hear();
	assert_int_equal(M.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_listener_outlives_the_process, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_wanted_is_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(an_old_socket_makes_room, setup, teardown),
		cmocka_unit_test_setup_teardown(datagrams_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(a_unix_socket_is_known_by_its_file, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_goes_along, setup, teardown),
		cmocka_unit_test_setup_teardown(without_anybody_nothing_is_kept, setup, teardown),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
