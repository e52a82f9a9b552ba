/* SPDX-License-Identifier: Apache-2.0 */
#include "setup/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"

enum { ENTRIES_MAX = 64, WORDS_MAX = 24, SAID_MAX = 2048, LINE_MAX_ = 8192, UNDO_MS = 30000 };
enum kind { A_FILE, A_FOLDER, A_COMMAND };

struct entry {
	enum kind kind;
	char *path;             /* of a file or a folder */
	char *words[WORDS_MAX]; /* of a command; ends with NULL */
};

struct setup_ledger {
	int log;
	char *log_folder; /* when it was made for the log */
	size_t n;
	struct entry entries[ENTRIES_MAX];
};

/* ---- the log */

static void write_all(int fd, struct slice s)
{
	while (fd >= 0 && s.len) {
		ssize_t n = write(fd, s.p, s.len);
		if (n <= 0 && errno != EINTR)
			return;
		s = slice_skip(s, n > 0 ? (size_t)n : 0);
	}
}

void setup_ledger_note(struct setup_ledger *l, const char *fmt, ...)
{
	char at[CLOCK_TEXT], text[LINE_MAX_];
	struct buf line;
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	clock_text(at);
	buf_init(&line, 2 * sizeof text);
	buf_printf(&line, "%s %s\n", at, text);
	write_all(l->log, buf_slice(&line));
	buf_free(&line);
}

static int io(struct setup_ledger *l, struct entente_err *err, int code, const char *what, const char *path)
{
	int e = errno;
	if (l)
		setup_ledger_note(l, "failed: %s %s: %s", what, path, strerror(e));
	return err_set(err, code, REASON_NONE, "cannot %s %s: %s", what, path, strerror(e));
}

struct setup_ledger *setup_ledger_new(const char *log, struct entente_err *err)
{
	struct setup_ledger *l = MEM_NEW(struct setup_ledger);
	char folder[4096];
	l->log = -1;
	if (!log)
		return l;
	slice_cstr(slice_str(log), folder, sizeof folder);
	char *slash = strrchr(folder, '/');
	if (slash && slash != folder) {
		*slash = 0;
		if (mkdir(folder, 0755) == 0) /* else there already, or open says why not */
			l->log_folder = mem_strndup(folder, strlen(folder));
	}
	l->log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (l->log < 0) {
		io(NULL, err, ENTENTE_EIO, "write the log", log);
		return setup_ledger_free(l);
	}
	return l;
}

static void forget(struct entry *e)
{
	e->path = mem_free(e->path);
	for (size_t i = 0; i < WORDS_MAX; i++)
		e->words[i] = mem_free(e->words[i]);
}

struct setup_ledger *setup_ledger_free(struct setup_ledger *l)
{
	if (!l)
		return NULL;
	for (size_t i = 0; i < l->n; i++)
		forget(&l->entries[i]);
	if (l->log >= 0)
		close(l->log);
	mem_free(l->log_folder);
	return mem_free(l);
}

static struct entry *add(struct setup_ledger *l, enum kind kind, const char *path)
{
	if (l->n == ENTRIES_MAX) /* a dozen is what a setup makes */
		return NULL;
	l->entries[l->n] = (struct entry){.kind = kind, .path = path ? mem_strndup(path, strlen(path)) : NULL};
	return &l->entries[l->n++];
}

/* ---- files */

int setup_ledger_folder(struct setup_ledger *l, const char *path, mode_t mode, gid_t gid, struct entente_err *err)
{
	struct stat st;
	bool of_log = l->log_folder && !strcmp(path, l->log_folder); /* made a moment ago, for everybody; stays with the log */
	if (!of_log && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	if (!of_log && mkdir(path, mode) < 0)
		return io(l, err, ENTENTE_EIO, "make the folder", path);
	if (!of_log)
		add(l, A_FOLDER, path);
	if (chmod(path, mode) < 0 || (gid != (gid_t)-1 && chown(path, (uid_t)-1, gid) < 0))
		return io(l, err, ENTENTE_EIO, "set who may use", path);
	setup_ledger_note(l, "made the folder %s", path);
	return 0;
}

int setup_ledger_file(struct setup_ledger *l, const char *path, struct slice contents, mode_t mode, gid_t gid, struct entente_err *err)
{
	struct slice rest = contents;
	/* Nobody may read it before it has its owner; O_EXCL follows no link either. */
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r = 0;
	if (fd < 0)
		return io(l, err, errno == EEXIST ? ENTENTE_EEXIST : ENTENTE_EIO, "make", path);
	add(l, A_FILE, path);
	while (rest.len && !r) {
		ssize_t n = write(fd, rest.p, rest.len);
		if (n < 0 && errno != EINTR)
			r = io(l, err, ENTENTE_EIO, "write", path);
		rest = slice_skip(rest, n > 0 ? (size_t)n : 0);
	}
	if (!r && ((gid != (gid_t)-1 && fchown(fd, (uid_t)-1, gid) < 0) || fchmod(fd, mode) < 0 || fsync(fd) < 0))
		r = io(l, err, ENTENTE_EIO, "finish", path);
	if (close(fd) < 0 && !r)
		r = io(l, err, ENTENTE_EIO, "close", path);
	if (!r)
		setup_ledger_note(l, "wrote %s (%zu octets, mode %04o)", path, contents.len, (unsigned)mode);
	return r;
}

void setup_ledger_made(struct setup_ledger *l, const char *path)
{
	add(l, A_FILE, path);
	setup_ledger_note(l, "wrote %s", path);
}

/* ---- commands */

static void join(struct buf *out, const char *const argv[])
{
	for (size_t i = 0; argv[i]; i++)
		buf_printf(out, "%s%s", i ? " " : "", argv[i]);
}

static int start(pid_t *ret, const char *const argv[], int out)
{
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
	int r = posix_spawnp(ret, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* Until the child has ended or the time is up; false then. A program that it leaves running may hold the pipe, and one may close it and go on:
 * so it is the child's end that counts. */
static bool listen_to(int fd, pid_t pid, uint64_t deadline, struct buf *heard, int *ret_status)
{
	enum { STEP_MS = 50 };
	char piece[4096];
	bool ended = false;
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (!ended)
			ended = waitpid(pid, ret_status, WNOHANG) == pid;
		int ready = poll(&p, 1, ended ? 0 : STEP_MS);
		ssize_t n = ready > 0 ? read(fd, piece, sizeof piece) : 0;
		if (n > 0)
			buf_put(heard, slice_of(piece, (size_t)n));
		else if (ended)
			return true;
		else if (ready > 0)
			fd = -1; /* closed: poll only waits */
		if (!ended && clock_ms() >= deadline)
			return false;
	}
}

int setup_ledger_run(struct setup_ledger *l, const char *const argv[], unsigned timeout_ms, struct buf *said)
{
	struct buf line, heard;
	int ends[2], status = 0, exit = 127;
	pid_t pid;
	buf_init(&line, LINE_MAX_);
	buf_init(&heard, 1 << 20);
	join(&line, argv);
	setup_ledger_note(l, "$ %.*s", SFMT(buf_slice(&line)));
	if (pipe2(ends, O_CLOEXEC) == 0) {
		int r = start(&pid, argv, ends[1]);
		close(ends[1]);
		if (r) {
			buf_printf(&heard, "%s: %s\n", argv[0], strerror(r));
		} else if (listen_to(ends[0], pid, clock_ms() + timeout_ms, &heard, &status)) {
			exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		} else {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			buf_printf(&heard, "%s did not end within %u seconds\n", argv[0], timeout_ms / 1000);
			exit = -1;
		}
		close(ends[0]);
	}
	write_all(l->log, buf_slice(&heard));
	if (exit)
		setup_ledger_note(l, "it ended with %d", exit);
	if (said) {
		size_t skip = heard.len > SAID_MAX ? heard.len - SAID_MAX : 0;
		buf_put(said, slice_skip(buf_slice(&heard), skip));
	}
	buf_free(&heard);
	buf_free(&line);
	return exit;
}

void setup_ledger_undo_with(struct setup_ledger *l, const char *const argv[])
{
	struct entry *e = add(l, A_COMMAND, NULL);
	for (size_t i = 0; e && argv[i] && i < WORDS_MAX - 1; i++)
		e->words[i] = mem_strndup(argv[i], strlen(argv[i]));
}

/* ---- back */

size_t setup_ledger_undo(struct setup_ledger *l)
{
	size_t failed = 0;
	while (l->n) {
		struct entry *e = &l->entries[--l->n];
		int r = 0;
		switch (e->kind) {
		case A_FILE:
			r = unlink(e->path);
			break;
		case A_FOLDER:
			r = rmdir(e->path);
			break;
		case A_COMMAND:
			r = setup_ledger_run(l, (const char *const *)e->words, UNDO_MS, NULL);
			break;
		}
		if (r && e->kind != A_COMMAND && errno == ENOENT)
			r = 0;
		if (e->path)
			setup_ledger_note(l, r ? "could not remove %s: %s" : "removed %s", e->path, strerror(errno));
		failed += r != 0;
		forget(e);
	}
	return failed;
}
