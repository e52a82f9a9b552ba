/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

bool world_spill(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return ok;
}

int world_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

struct sockaddr_in world_loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static uint16_t free_port(void)
{
	struct sockaddr_in a = world_loopback(0);
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof a) && !getsockname(fd, (struct sockaddr *)&a, &n);
	if (fd >= 0)
		close(fd);
	return ok ? ntohs(a.sin_port) : 0;
}

void world_make(struct world *w)
{
	static const char *const folders[] = {"etc", "tls", "keys", "state", "run", "elsewhere"};
	char path[96];
	*w = (struct world){.top = "/tmp/entente-sandbox.XXXXXX"};
	if (!mkdtemp(w->top))
		abort();
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		snprintf(path, sizeof path, "%s/%s", w->top, folders[i]);
		if (mkdir(path, 0700))
			abort();
	}
	snprintf(w->config, sizeof w->config, "%s/etc/entente.yaml", w->top);
	snprintf(w->certificate, sizeof w->certificate, "%s/tls/site.pem", w->top);
	snprintf(w->key, sizeof w->key, "%s/keys/site.key", w->top);
	snprintf(w->state, sizeof w->state, "%s/state", w->top);
	snprintf(w->run, sizeof w->run, "%s/run", w->top);
	snprintf(w->shared, sizeof w->shared, "%s/elsewhere", w->top);
	snprintf(w->secret, sizeof w->secret, "%s/elsewhere/secret", w->top);
	if (!world_spill(w->config, "server:\n") || !world_spill(w->certificate, "certificate") || !world_spill(w->key, "key") || !world_spill(w->secret, "secret"))
		abort();
	while (!(w->ours = free_port()) || (w->other = free_port()) == w->ours)
		;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

void world_remove(struct world *w)
{
	nftw(w->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int world_enter(const struct world *w, enum sandbox_role role, enum sandbox_mode mode, struct sandbox_level *ret, struct entente_err *err)
{
	struct sandbox_paths *p = sandbox_paths_new();
	const char *const keys[] = {w->key};
	char socket[128];
	snprintf(socket, sizeof socket, "%s/control.sock", w->run);
	sandbox_paths_system(p);
	sandbox_paths_file(p, w->config);
	sandbox_paths_file(p, w->certificate);
	sandbox_paths_write(p, w->state);
	sandbox_paths_socket(p, socket);
	sandbox_paths_port(p, w->ours);
	int rc = sandbox_enter(&(struct sandbox_opts){.mode = mode, .role = role, .paths = p, .keys = keys, .n_keys = 1}, ret, err);
	sandbox_paths_free(p);
	return rc;
}

static int ended(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return ENDED_OTHERWISE;
	return WIFEXITED(status) ? WEXITSTATUS(status) : WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? ENDED_BY_SIGSYS : ENDED_OTHERWISE;
}

int world_child(int (*fn)(const struct world *w), const struct world *w)
{
	fflush(stdout);
	pid_t pid = fork();
	if (!pid)
		_exit(fn(w));
	return pid < 0 ? ENDED_OTHERWISE : ended(pid);
}

int world_try(const struct world *w, enum sandbox_role role, bool free, int (*fn)(const struct world *w))
{
	enum { NOT_ENTERED = 251 };
	struct sandbox_level level;
	struct entente_err err;
	fflush(stdout);
	pid_t pid = fork();
	if (!pid)
		_exit(!free && world_enter(w, role, SANDBOX_REQUIRED, &level, &err) ? NOT_ENTERED : fn(w));
	return pid < 0 ? ENDED_OTHERWISE : ended(pid);
}
