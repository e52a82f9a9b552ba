/* SPDX-License-Identifier: Apache-2.0 */
/* This machine: clock, state directory, the daemon as the system sees it. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check/looking.h"
#include "store/store.h"

extern char **environ;

void check_look_time(struct check_looking *x)
{
	struct check_time *t = &x->f->time;
	struct timex k = {0};
	struct stat st;
	t->have = true;
	if (!stat("/proc/self/exe", &st))
		t->release = (int64_t)st.st_mtim.tv_sec - 86400; /* zones of build machines */
	int state = adjtimex(&k);
	t->sync_known = state >= 0;
	t->synchronised = state >= 0 && state != TIME_ERROR && !(k.status & STA_UNSYNC);
}

/* ---- disk */

static void look_at_file(struct check_file *ret, const char *path)
{
	struct stat st;
	*ret = (struct check_file){0};
	if (stat(path, &st))
		return;
	*ret = (struct check_file){true, (int)st.st_uid, (int)st.st_gid, st.st_mode & 07777, (uint64_t)st.st_size};
}

/* Whom the daemon runs as: as it does, else as the package has it, where that user exists. */
static void user(struct check_looking *x)
{
	struct check_disk *d = &x->f->disk;
	char b[4096];
	struct passwd p, *found = NULL;
	if (x->f->live.uid >= 0 && x->f->live.pid > 0)
		getpwuid_r((uid_t)x->f->live.uid, &p, b, sizeof b, &found);
	else
		getpwnam_r("entente", &p, b, sizeof b, &found);
	d->user = found ? (int)p.pw_uid : x->f->live.pid > 0 ? x->f->live.uid : -1;
	d->user_name = found ? arena_dup(x->a, slice_str(p.pw_name)) : arena_printf(x->a, "%d", d->user);
}

void check_look_disk(struct check_looking *x)
{
	struct check_disk *d = &x->f->disk;
	const struct config *g = x->f->config;
	struct statvfs v;
	char path[4200], damage[256] = "";
	struct entente_err err = {0};
	if (!g)
		return;
	d->have = true;
	d->directory = slice_str(g->server_state_directory);
	user(x);
	look_at_file(&d->state, g->server_state_directory);
	if (!d->state.there) {
		d->fault = arena_dup(x->a, slice_str(strerror(errno)));
		return;
	}
	if (!statvfs(g->server_state_directory, &v)) {
		d->read_only = v.f_flag & ST_RDONLY;
		d->free = (uint64_t)v.f_bavail * v.f_frsize;
		d->total = (uint64_t)v.f_blocks * v.f_frsize;
		d->inodes = v.f_files;
		d->inodes_free = v.f_favail;
	}
	if (g->server_role == CONFIG_EDGE)
		return; /* it has no database */
	snprintf(path, sizeof path, "%s/entente.db", g->server_state_directory);
	look_at_file(&d->database, path);
	snprintf(path, sizeof path, "%s/entente.db-wal", g->server_state_directory);
	look_at_file(&d->wal, path);
	if (access(g->server_state_directory, X_OK)) {
		d->fault = arena_printf(x->a, "%s may not be looked into: %s", g->server_state_directory, strerror(errno));
	} else if (d->database.there && store_inspect(g->server_state_directory, damage, sizeof damage, &err)) {
		d->fault = arena_printf(x->a, "the database may not be read: %s", err.text);
	} else if (d->database.there) {
		d->database_read = true;
		d->damage = arena_dup(x->a, slice_str(damage));
	}
}

/* ---- system */

/* Who answers on the control socket. */
static void daemon_process(struct check_looking *x, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct ucred who;
	socklen_t len = sizeof who;
	int fd = slice_cstr(slice_str(path), a.sun_path, sizeof a.sun_path) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
	x->f->live.pid = x->f->live.uid = -1;
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof a) && !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len)) {
		x->f->live.pid = who.pid > 0 ? who.pid : -1;
		x->f->live.uid = (int)who.uid;
	}
	if (fd >= 0)
		close(fd);
}

static void running(struct check_looking *x, int pid)
{
	struct check_system *s = &x->f->system;
	char path[64], line[512];
	snprintf(path, sizeof path, "/proc/%d/limits", pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f)) {
		struct slice l = slice_trim(slice_str(line)), soft;
		if (!slice_starts(l, S("Max open files")))
			continue;
		l = slice_trim(slice_skip(l, 14));
		soft = slice_split(&l, ' ');
		if (slice_u64(soft, UINT64_MAX, &s->descriptors))
			s->descriptors_of = S("the running daemon");
	}
	if (f)
		fclose(f);
	snprintf(path, sizeof path, "/proc/%d/exe", pid);
	ssize_t n = readlink(path, line, sizeof line);
	s->replaced = n > 0 && slice_ends(slice_of(line, (size_t)n), S(" (deleted)"));
}

static void property(struct check_looking *x, struct slice key, struct slice value)
{
	struct check_system *s = &x->f->system;
	uint64_t n = 0;
	if (slice_eq(key, S("LoadState")))
		s->have_unit = slice_eq(value, S("loaded"));
	else if (slice_eq(key, S("ActiveState")))
		s->unit_active = arena_dup(x->a, value);
	else if (slice_eq(key, S("Result")))
		s->unit_result = arena_dup(x->a, value);
	else if (slice_eq(key, S("UnitFileState")))
		s->unit_file = arena_dup(x->a, value);
	else if (slice_eq(key, S("NRestarts")) && slice_u64(value, 1000000, &n))
		s->unit_restarts = (unsigned)n;
	else if (slice_eq(key, S("LimitNOFILE")) && !s->descriptors && slice_u64(value, UINT64_MAX, &s->descriptors))
		s->descriptors_of = S("the unit entented.service");
}

static void unit(struct check_looking *x)
{
	static const char *const command[] = {"systemctl", "show", "--no-pager", "--property=LoadState,ActiveState,Result,UnitFileState,NRestarts,LimitNOFILE",
					      "entented.service", NULL};
	int pipe_of[2];
	char line[512];
	pid_t pid;
	posix_spawn_file_actions_t to;
	if (access("/run/systemd/system", F_OK) || pipe2(pipe_of, O_CLOEXEC))
		return;
	posix_spawn_file_actions_init(&to);
	posix_spawn_file_actions_adddup2(&to, pipe_of[1], STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&to, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	int failed = posix_spawnp(&pid, command[0], &to, NULL, (char **)(uintptr_t)command, environ);
	posix_spawn_file_actions_destroy(&to);
	close(pipe_of[1]);
	FILE *f = fdopen(pipe_of[0], "r");
	while (!failed && f && fgets(line, sizeof line, f)) {
		struct slice value = slice_trim(slice_str(line)), key = slice_split(&value, '=');
		property(x, key, value);
	}
	if (f)
		fclose(f);
	else
		close(pipe_of[0]);
	if (!failed)
		waitpid(pid, NULL, 0);
}

void check_look_system(struct check_looking *x)
{
	struct check_system *s = &x->f->system;
	const char *path = x->o.socket ? x->o.socket : x->f->config ? x->f->config->server_control_socket : "";
	if (s->have)
		return;
	s->have = true;
	s->socket_path = slice_str(path);
	look_at_file(&s->socket, path);
	daemon_process(x, path);
	if (x->f->live.pid > 0)
		running(x, x->f->live.pid);
	unit(x);
}
