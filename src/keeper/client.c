/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "keeper/keeper_int.h"

enum {
	START_MS = 30000,
	END_MS = 2000,
	ANSWER_S = 5,   /* a signature takes a millisecond; this is a keeper that was stopped */
	SMALL = 4352,   /* requests on the stack: all but long messages */
	ARGS = 6,       /* of the command line before the lanes; after them the folders */
};
_Static_assert(SMALL >= KEEPER_HEAD + KEEPER_PATH_MAX, "a path is small");

struct lane {
	pthread_mutex_t lock;
	int fd; /* -1: closed */
};

struct keeper {
	_Atomic int refs;
	pid_t pid;   /* 0: waited for */
	int life, status;
	unsigned n;
	char ready;
	_Atomic bool lost; /* it does not answer, or not as it should */
	_Atomic size_t keys;
	_Atomic uint64_t signatures, failed, busy_ns;
	struct lane lanes[KEEPER_LANES];
};

static const char child_arg[] = "--keeper";

/* ---- start */

static bool absolute(char *dst, size_t size, const char *path)
{
	size_t n = 0;
	if (*path != '/') {
		if (!getcwd(dst, size - 1))
			return false;
		n = strlen(dst);
		dst[n++] = '/';
	}
	return slice_cstr(slice_str(path), dst + n, size - n) && strlen(path) < size - n;
}

/* The caller's; NULL: too long. "" for the root, as what stands before the last slash of a path there. */
static char *folder_of(const char *file)
{
	char full[KEEPER_PATH_MAX + 1];
	return absolute(full, sizeof full, file) ? mem_strndup(full, (size_t)(strrchr(full, '/') - full)) : NULL;
}

static void child_exec(const struct keeper_child *c, const char *program)
{
	char text[4 + KEEPER_LANES][16], *argv[ARGS + KEEPER_LANES + KEEPER_FOLDERS + 1] = {(char *)(uintptr_t)"entented: keys", (char *)(uintptr_t)child_arg, text[0], text[1], text[2], text[3]};
	snprintf(text[0], sizeof text[0], "%d", c->confine);
	snprintf(text[1], sizeof text[1], "%ld", (long)c->parent);
	snprintf(text[2], sizeof text[2], "%d", c->life);
	snprintf(text[3], sizeof text[3], "%u", c->n);
	fcntl(c->life, F_SETFD, 0);
	for (unsigned i = 0; i < c->n; i++) {
		snprintf(text[4 + i], sizeof text[4 + i], "%d", c->lanes[i]);
		argv[ARGS + i] = text[4 + i];
		fcntl(c->lanes[i], F_SETFD, 0);
	}
	memcpy(argv + ARGS + c->n, c->folders, c->n_folders * sizeof *argv);
	execv(program, argv);
}

static bool socket_of(const char *text, int *ret)
{
	uint64_t v;
	int type;
	socklen_t len = sizeof type;
	if (!slice_u64(slice_str(text), 1 << 20, &v) || getsockopt((int)v, SOL_SOCKET, SO_TYPE, &type, &len))
		return false;
	*ret = (int)v;
	return true;
}

void keeper_child_main(int argc, char **argv)
{
	struct keeper_child c = {0};
	uint64_t parent, lanes = 0;
	if (argc < 2 || strcmp(argv[1], child_arg))
		return;
	bool ok = argc > ARGS && slice_u64(slice_str(argv[5]), KEEPER_LANES, &lanes) && lanes && argc >= ARGS + (int)lanes && argc <= ARGS + (int)lanes + KEEPER_FOLDERS && slice_u64(slice_str(argv[3]), 1 << 30, &parent) && socket_of(argv[4], &c.life);
	c.n = (unsigned)lanes;
	for (unsigned i = 0; ok && i < c.n; i++)
		ok = socket_of(argv[ARGS + i], &c.lanes[i]);
	if (!ok) {
		fprintf(stderr, "entented: %s is for entented itself\n", child_arg);
		_exit(2);
	}
	c.confine = *argv[2] == '1';
	c.parent = (pid_t)parent;
	for (int i = ARGS + (int)c.n; i < argc; i++)
		c.folders[c.n_folders++] = mem_strndup(argv[i], strlen(argv[i]));
	/* the process list shows the title only */
	memset(argv[1], 0, (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) - argv[1]));
	keeper_child_run(&c);
}

/* Ready, or how it ended; false: it is not. */
static bool await(struct keeper *k)
{
	struct pollfd p = {.fd = k->life, .events = POLLIN};
	int n;
	while ((n = poll(&p, 1, START_MS)) < 0 && errno == EINTR)
		;
	return n == 1 && read(k->life, &k->ready, 1) == 1 && k->ready & KEEPER_READY;
}

int keeper_start(struct keeper **ret, const struct keeper_opts *o, struct entente_err *err)
{
	struct keeper_child c = {.life = -1, .parent = getpid(), .confine = o->confine};
	struct keeper *k = MEM_NEW(struct keeper);
	struct timeval patience = {.tv_sec = ANSWER_S};
	int pair[2], room = 2 * KEEPER_FRAME_MAX;
	bool ok = o->lanes >= 1 && o->lanes <= KEEPER_LANES && o->n_beside <= KEEPER_FOLDERS;
	for (size_t i = 0; ok && i < o->n_beside; i++)
		ok = (c.folders[c.n_folders++] = folder_of(o->beside[i]));
	atomic_init(&k->refs, 1);
	k->life = -1;
	if (ok && (ok = !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))) {
		k->life = pair[0];
		c.life = pair[1];
	}
	while (ok && c.n < o->lanes && (ok = !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))) {
		setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
		setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
		setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
		pthread_mutex_init(&k->lanes[k->n].lock, NULL);
		k->lanes[k->n++].fd = pair[0];
		c.lanes[c.n++] = pair[1];
	}
	if (ok && (ok = (k->pid = fork()) >= 0) && !k->pid) {
		if (o->program)
			child_exec(&c, o->program);
		keeper_child_run(&c);
	}
	int error = errno;
	for (unsigned i = 0; i < c.n; i++)
		close(c.lanes[i]);
	for (unsigned i = 0; i < c.n_folders; i++)
		mem_free(c.folders[i]);
	if (c.life >= 0)
		close(c.life);
	if (ok && await(k)) {
		*ret = k;
		return 0;
	}
	if (ok) {
		char why[96];
		kill(k->pid, SIGKILL);
		waitpid(k->pid, &k->status, 0);
		k->pid = 0;
		keeper_ended(k, why, sizeof why);
		err_set(err, ENTENTE_EIO, REASON_NONE, "the process that keeps the private keys does not start: %s", why);
	} else {
		err_set(err, ENTENTE_EIO, REASON_NONE, "there can be no process that keeps the private keys: %s", strerror(error));
		k->pid = 0;
	}
	keeper_free(k);
	return ENTENTE_EIO;
}

/* ---- life */

struct keeper *keeper_ref(struct keeper *k)
{
	atomic_fetch_add(&k->refs, 1);
	return k;
}

struct keeper *keeper_unref(struct keeper *k)
{
	if (k && atomic_fetch_sub(&k->refs, 1) == 1) {
		for (unsigned i = 0; i < k->n; i++)
			pthread_mutex_destroy(&k->lanes[i].lock);
		mem_free(k);
	}
	return NULL;
}

/* Waits at most `ms`. */
static bool reap(struct keeper *k, uint64_t ms)
{
	struct timespec nap = {.tv_nsec = 1000 * 1000};
	for (uint64_t end = clock_ms() + ms; k->pid;) {
		pid_t p = waitpid(k->pid, &k->status, WNOHANG);
		if (p == k->pid || (p < 0 && errno != EINTR))
			k->pid = 0;
		else if (clock_ms() >= end)
			return false;
		else
			nanosleep(&nap, NULL);
	}
	return true;
}

struct keeper *keeper_free(struct keeper *k)
{
	if (!k)
		return NULL;
	atomic_store(&k->lost, true);
	for (unsigned i = 0; i < k->n; i++) {
		struct lane *l = &k->lanes[i];
		pthread_mutex_lock(&l->lock);
		close(l->fd);
		l->fd = -1;
		pthread_mutex_unlock(&l->lock);
	}
	if (!reap(k, END_MS)) {
		kill(k->pid, SIGKILL);
		reap(k, END_MS);
	}
	if (k->life >= 0)
		close(k->life);
	k->life = -1;
	return keeper_unref(k);
}

pid_t keeper_pid(const struct keeper *k)
{
	return k->pid;
}

int keeper_fd(const struct keeper *k)
{
	return k->life;
}

bool keeper_ended(struct keeper *k, char *why, size_t size)
{
	struct pollfd p = {.fd = k->life, .events = POLLIN};
	char c;
	if (k->pid && (poll(&p, 1, 0) != 1 || recv(k->life, &c, 1, MSG_DONTWAIT) > 0))
		return false;
	bool reaped = reap(k, 200); /* the end of the file comes a little before that of the process */
	if (!reaped)
		snprintf(why, size, "it does not answer");
	else if (WIFSIGNALED(k->status))
		snprintf(why, size, "it was ended by signal %d (%s)", WTERMSIG(k->status), strsignal(WTERMSIG(k->status)));
	else
		snprintf(why, size, "it ended with status %d", WEXITSTATUS(k->status));
	return true;
}

void keeper_facts(const struct keeper *k, struct keeper_facts *ret)
{
	*ret = (struct keeper_facts){.pid = k->pid, .confined = k->ready & KEEPER_CONFINED, .locked = k->ready & KEEPER_LOCKED,
				     .keys = atomic_load(&k->keys), .signatures = atomic_load(&k->signatures), .failed = atomic_load(&k->failed), .busy_us = atomic_load(&k->busy_ns) / 1000};
}

/* ---- requests */

/* Each thread stays with its lane, so that no two wait for each other as long as there are lanes enough. */
static struct lane *lane_of(struct keeper *k)
{
	static _Atomic unsigned next;
	static _Thread_local unsigned mine;
	if (!mine)
		mine = atomic_fetch_add(&next, 1) % KEEPER_LANES + 1;
	return &k->lanes[(mine - 1) % k->n];
}

/* From now on every request fails, and whoever watches keeper_fd is told. */
static void give_up(struct keeper *k)
{
	atomic_store(&k->lost, true);
	shutdown(k->life, SHUT_RDWR);
}

static ssize_t ask_lane(const struct lane *l, const char *out, size_t len, char *in)
{
	ssize_t n;
	while ((n = send(l->fd, out, len, MSG_NOSIGNAL)) < 0 && errno == EINTR)
		;
	if (n < 0)
		return n;
	while ((n = recv(l->fd, in, KEEPER_REPLY_MAX, 0)) < 0 && errno == EINTR)
		;
	return n;
}

/* False: the keeper is gone, or the request is none. `in` holds KEEPER_REPLY_MAX octets, in which *ret then lies. */
static bool ask(struct keeper *k, const struct keeper_request *q, char *in, struct keeper_reply *ret)
{
	char small[SMALL], *out = q->data.len + KEEPER_HEAD > sizeof small ? mem_calloc(1, KEEPER_HEAD + q->data.len) : small;
	size_t len = keeper_request_write(out, KEEPER_HEAD + q->data.len, q);
	struct lane *l = lane_of(k);
	bool ok = false;
	pthread_mutex_lock(&l->lock);
	if (len && l->fd >= 0 && !atomic_load(&k->lost)) {
		ssize_t n = ask_lane(l, out, len, in);
		ok = n > 0 && !keeper_reply_read(ret, q->verb, slice_of(in, (size_t)n));
		if (!ok)
			give_up(k);
	}
	pthread_mutex_unlock(&l->lock);
	if (out != small)
		mem_free(out);
	return ok;
}

size_t keeper_sign(struct keeper *k, const struct keeper_request *q, char *dst)
{
	char in[KEEPER_REPLY_MAX];
	struct keeper_reply r;
	uint64_t from = clock_ns();
	bool ok = ask(k, q, in, &r) && r.status == KEEPER_OK;
	atomic_fetch_add(ok ? &k->signatures : &k->failed, 1);
	atomic_fetch_add(&k->busy_ns, clock_ns() - from);
	if (!ok)
		return 0;
	memcpy(dst, r.data.p, r.data.len);
	return r.data.len;
}

void keeper_forget(struct keeper *k, uint32_t handle)
{
	char in[KEEPER_REPLY_MAX];
	struct keeper_reply r;
	ask(k, &(struct keeper_request){.verb = KEEPER_FORGET, .handle = handle}, in, &r);
	atomic_fetch_sub(&k->keys, 1);
}

static int tell(struct entente_err *err, const struct keeper_reply *r, const char *path)
{
	switch (r->status) {
	case KEEPER_NO_FILE:
		return err_set(err, ENTENTE_EIO, REASON_NONE, "private key %s: %s%s", path, strerror((int)r->value),
			       r->value == EACCES ? " (the service's user must be able to read it)" : "");
	case KEEPER_NOT_PLAIN:
		return err_set(err, ENTENTE_EIO, REASON_NONE, "private key %s: not a regular file, or too large", path);
	case KEEPER_NO_KEY:
		return err_set(err, ENTENTE_ETLS, REASON_NONE, "private key %s: no valid PEM key without a passphrase in it", path);
	case KEEPER_ODD_KEY:
		return err_set(err, ENTENTE_ETLS, REASON_NONE, "private key %s: neither RSA nor EC, Ed25519 or Ed448, or of more than %d bits", path, KEEPER_SIGNATURE_MAX * 8);
	case KEEPER_ELSEWHERE:
		return err_set(err, ENTENTE_EREFUSED, REASON_NONE, "private key %s: in a folder of which the process that keeps the private keys knew nothing when it was started: restart the daemon", path);
	case KEEPER_FULL:
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "private key %s: %d keys are in use already", path, KEEPER_KEYS);
	default:
		return err_set(err, ENTENTE_ETLS, REASON_NONE, "private key %s: the process that keeps the private keys refuses it", path);
	}
}

int keeper_key_load(struct keeper *k, EVP_PKEY **ret, const char *path, struct entente_err *err)
{
	char in[KEEPER_REPLY_MAX], full[KEEPER_PATH_MAX + 1];
	struct keeper_reply r;
	if (!absolute(full, sizeof full, path))
		return err_set(err, ENTENTE_EIO, REASON_NONE, "private key %s: %s", path, strerror(ENAMETOOLONG));
	if (!ask(k, &(struct keeper_request){.verb = KEEPER_LOAD, .data = slice_str(full)}, in, &r))
		return err_set(err, ENTENTE_ECLOSED, REASON_NONE, "private key %s: the process that keeps the private keys does not answer", path);
	if (r.status)
		return tell(err, &r, path);
	atomic_fetch_add(&k->keys, 1);
	const unsigned char *der = (const unsigned char *)r.data.p;
	EVP_PKEY *pub = d2i_PUBKEY(NULL, &der, (long)r.data.len);
	*ret = pub ? keeper_key_make(k, r.value, pub) : NULL;
	EVP_PKEY_free(pub);
	ERR_clear_error();
	if (*ret)
		return 0;
	keeper_forget(k, r.value);
	r.status = KEEPER_ODD_KEY;
	return tell(err, &r, path);
}
