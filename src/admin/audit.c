/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"

enum { PATH_ROOM = 4096 };
static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";

struct audit {
	char directory[PATH_ROOM - 64], path[PATH_ROOM];
	uint64_t file_max;
	int fd;             /* -1: not open */
	dev_t dev;
	ino_t ino;
	off_t size;         /* of the file when `head` was its last record */
	struct audit_head head;
	struct audit_head known; /* the youngest that must be there; seq 0: nothing is known */
	int64_t first;      /* number of the first record of this file; 0: it is empty */
	char trouble[256];
};

void audit_hash(char ret[AUDIT_HASH], struct slice line)
{
	unsigned char h[crypto_hash_sha256_BYTES];
	crypto_hash_sha256(h, (const unsigned char *)(line.p ? line.p : ""), line.len);
	sodium_bin2hex(ret, AUDIT_HASH, h, sizeof h);
}

bool audit_head_parse(struct audit_head *ret, struct slice text)
{
	uint64_t seq;
	struct slice n = slice_split(&text, ' ');
	if (!slice_u64(n, INT64_MAX, &seq) || text.len != AUDIT_HASH - 1)
		return false;
	ret->seq = (int64_t)seq;
	return slice_cstr(text, ret->hash, sizeof ret->hash);
}

struct audit *audit_new(const char *directory, uint64_t file_max)
{
	struct audit *a = MEM_NEW(struct audit);
	a->fd = -1;
	a->file_max = file_max ? file_max : AUDIT_FILE_MAX;
	slice_cstr(slice_str(directory), a->directory, sizeof a->directory);
	snprintf(a->path, sizeof a->path, "%s/audit.jsonl", a->directory);
	return a;
}

struct audit *audit_free(struct audit *a)
{
	if (!a)
		return NULL;
	if (a->fd >= 0)
		close(a->fd);
	return mem_free(a);
}

const char *audit_trouble(const struct audit *a)
{
	return *a->trouble ? a->trouble : NULL;
}

static int fail(struct audit *a, const char *what, struct entente_err *err)
{
	int e = errno;
	snprintf(a->trouble, sizeof a->trouble, "%.150s cannot be %s: %s", a->path, what, strerror(e));
	return err_set(err, ENTENTE_EIO, REASON_NONE, "%s", a->trouble);
}

/* ---- the end of a file */

/* Its last whole line, in `line`; *ret_torn: octets behind it. False: it cannot be read, or the line is too long for us to have written it. */
static bool last_line(int fd, off_t size, struct buf *line, off_t *ret_torn)
{
	off_t begin = size > 2 * AUDIT_RECORD_MAX ? size - 2 * AUDIT_RECORD_MAX : 0;
	size_t n = (size_t)(size - begin), got = 0;
	char *p = buf_reserve(line, n + 1);
	while (p && got < n) {
		ssize_t r = pread(fd, p + got, n - got, begin + (off_t)got);
		if (r <= 0)
			return false;
		got += (size_t)r;
	}
	size_t end = n;
	while (end && p[end - 1] != '\n')
		end--;
	*ret_torn = (off_t)(n - end);
	size_t from = end ? end - 1 : 0;
	while (from && p[from - 1] != '\n')
		from--;
	if (end && !from && begin)
		return false;
	buf_commit(line, end ? end - 1 : 0);
	buf_consume(line, from);
	return p != NULL;
}

static int64_t seq_of(struct slice line)
{
	json_error_t e;
	json_t *o = json_loadb(line.p ? line.p : "", line.len, JSON_REJECT_DUPLICATES, &e);
	json_int_t seq = json_integer_value(json_object_get(o, "seq"));
	json_decref(o);
	return seq > 0 ? seq : 0;
}

/* The number of the first record; 0: none. */
static int64_t first_of(int fd)
{
	struct buf b;
	int64_t seq = 0;
	buf_init(&b, AUDIT_RECORD_MAX + 1);
	char *p = buf_reserve(&b, AUDIT_RECORD_MAX);
	ssize_t n = p ? pread(fd, p, AUDIT_RECORD_MAX, 0) : 0;
	if (n > 0) {
		ptrdiff_t end = slice_find_chr(slice_of(p, (size_t)n), '\n');
		seq = end > 0 ? seq_of(slice_of(p, (size_t)end)) : 0;
	}
	buf_free(&b);
	return seq;
}

/* The head of what was there before the present file: the youngest of those that have been put aside. */
static int head_before(struct audit *a, struct audit_head *ret, struct entente_err *err)
{
	json_t *files = audit_files(a->directory);
	size_t n = json_array_size(files);
	int rc = 0;
	*ret = (struct audit_head){0};
	snprintf(ret->hash, sizeof ret->hash, "%s", zeros);
	for (size_t i = n; i-- && !ret->seq && !rc;) {
		const char *path = json_string_value(json_array_get(files, i));
		struct stat st;
		struct buf line;
		off_t torn;
		if (!strcmp(path, a->path))
			continue;
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		buf_init(&line, 3 * AUDIT_RECORD_MAX);
		if (fd < 0 || fstat(fd, &st) || !last_line(fd, st.st_size, &line, &torn)) {
			rc = fail(a, "continued: an older file cannot be read", err);
		} else if (line.len) {
			ret->seq = seq_of(buf_slice(&line));
			audit_hash(ret->hash, buf_slice(&line));
		}
		buf_free(&line);
		if (fd >= 0)
			close(fd);
	}
	json_decref(files);
	return rc;
}

/* Where the chain is. *ret_torn: octets of a half line that were there. */
static int find_head(struct audit *a, off_t size, off_t *ret_torn, struct entente_err *err)
{
	struct buf line;
	int rc = 0;
	buf_init(&line, 3 * AUDIT_RECORD_MAX);
	*ret_torn = 0;
	if (!last_line(a->fd, size, &line, ret_torn)) {
		errno = EIO;
		rc = fail(a, "read", err);
	} else if (line.len) {
		a->head.seq = seq_of(buf_slice(&line));
		audit_hash(a->head.hash, buf_slice(&line));
		a->first = first_of(a->fd);
		if (!a->head.seq) { /* not ours to continue: verify says what is the matter */
			errno = EBADMSG;
			rc = fail(a, "continued, its last line is no record (`entente audit verify`)", err);
		}
	} else {
		a->first = 0;
		rc = head_before(a, &a->head, err);
	}
	buf_free(&line);
	a->size = size - *ret_torn;
	return rc;
}

/* ---- the file */

/* As its directory, when root makes it in the name of the daemon's user. */
static void give_away(const struct audit *a)
{
	struct stat st;
	if (geteuid() == 0 && stat(a->directory, &st) == 0 && fchown(a->fd, st.st_uid, st.st_gid) != 0)
		fchmod(a->fd, 0600);
}

static void close_file(struct audit *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

/* Opens the present file, and locks it; somebody else may put it aside meanwhile. */
static int open_locked(struct audit *a, struct stat *ret, struct entente_err *err)
{
	for (int tries = 0; tries < 100; tries++) {
		struct stat named;
		if (a->fd < 0) {
			a->fd = open(a->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
			if (a->fd < 0 && errno == ENOENT && (a->fd = open(a->path, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) >= 0)
				give_away(a);
			if (a->fd < 0 && errno == EEXIST)
				continue;
			if (a->fd < 0)
				return fail(a, "opened", err);
			a->size = -1;
		}
		while (flock(a->fd, LOCK_EX))
			if (errno != EINTR)
				return fail(a, "locked", err);
		if (fstat(a->fd, ret))
			return fail(a, "read", err);
		if (stat(a->path, &named) == 0 && named.st_dev == ret->st_dev && named.st_ino == ret->st_ino)
			return 0;
		close_file(a);
	}
	errno = EBUSY;
	return fail(a, "opened", err);
}

static void sync_directory(const struct audit *a)
{
	int fd = open(a->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

/* Under the lock: the file is put aside, and the next one begins where it ends. */
static int turn_over(struct audit *a, struct stat *st, struct entente_err *err)
{
	char aside[PATH_ROOM + 32];
	off_t torn = 0;
	snprintf(aside, sizeof aside, "%s/audit-%012jd.jsonl", a->directory, (intmax_t)a->first);
	if (rename(a->path, aside))
		return fail(a, "put aside", err);
	sync_directory(a);
	close_file(a);
	/* the lock was of the old file: others may have been here meanwhile */
	int rc = open_locked(a, st, err);
	return rc ? rc : find_head(a, st->st_size, &torn, err);
}

static int write_line(struct audit *a, json_t *record, struct entente_err *err)
{
	char at[CLOCK_TEXT];
	struct buf b;
	json_t *o = json_object();
	int rc = 0;
	clock_text(at);
	json_object_set_new(o, "seq", json_integer((json_int_t)a->head.seq + 1));
	json_object_set_new(o, "at", json_string(at));
	json_object_update(o, record);
	json_object_set_new(o, "prev", json_string(a->head.seq ? a->head.hash : zeros));
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	buf_init(&b, AUDIT_RECORD_MAX);
	if (text)
		buf_puts(&b, text);
	buf_putc(&b, '\n');
	free(text);
	if (!buf_ok(&b) || b.len < 2) {
		errno = EMSGSIZE;
		rc = fail(a, "written", err);
	} else {
		struct slice line = buf_slice(&b);
		ssize_t n = write(a->fd, line.p, line.len);
		if (n != (ssize_t)line.len || fdatasync(a->fd)) {
			if (n >= 0 && n != (ssize_t)line.len)
				errno = ENOSPC;
			int e = errno;
			if (n > 0 && ftruncate(a->fd, a->size)) /* the half line stays; the next append cuts it off */
				a->size = -1;
			errno = e;
			rc = fail(a, "written", err);
		} else {
			a->size += n;
			a->head.seq++;
			audit_hash(a->head.hash, slice_first(line, line.len - 1));
			if (!a->first)
				a->first = a->head.seq;
		}
	}
	buf_free(&b);
	return rc;
}

/* Somebody else has written: is the record that we know still there? */
static bool known_missing(const struct audit *a)
{
	struct audit_report r;
	struct entente_err err;
	if (!a->known.seq || a->head.seq <= a->known.seq)
		return a->head.seq < a->known.seq || (a->known.seq && strcmp(a->head.hash, a->known.hash) != 0);
	json_t *files = json_pack("[s]", a->path);
	int rc = audit_verify(&r, files, &a->known, &err);
	json_decref(files);
	return !rc && (r.fault == AUDIT_OTHER_HEAD || (r.fault == AUDIT_CUT && r.records && r.first <= a->known.seq)); /* else it is in an older file */
}

void audit_know(struct audit *a, const struct audit_head *head)
{
	a->known = *head;
}

static int append_locked(struct audit *a, struct stat *st, json_t *record, struct entente_err *err)
{
	off_t torn = 0;
	int rc = 0;
	bool missing = false;
	if (st->st_size != a->size) {
		rc = find_head(a, st->st_size, &torn, err);
		missing = !rc && known_missing(a);
	}
	if (!rc && torn) {
		if (ftruncate(a->fd, a->size))
			return fail(a, "repaired: its last line is half", err);
		json_t *note = json_pack("{s:s s:s s:s s:s s:I}", "who", "entente", "via", "audit", "event", "note", "text",
					 "the record after the one before this was not written to its end, and has been removed", "octets", (json_int_t)torn);
		rc = write_line(a, note, err);
		json_decref(note);
	}
	if (!rc && a->size >= (off_t)a->file_max && a->first)
		rc = turn_over(a, st, err);
	if (!rc && !a->first && a->head.seq) { /* a file that does not begin so has lost its begin */
		json_t *note = json_pack("{s:s s:s s:s s:s}", "who", "entente", "via", "audit", "event", "continue", "text", "the file before this was put aside");
		rc = write_line(a, note, err);
		json_decref(note);
	}
	if (!rc && missing) { /* the database will know a new head: what the old one proved would be forgotten */
		json_t *note = json_pack("{s:s s:s s:s s:s s:I s:s}", "who", "entente", "via", "audit", "event", "note", "text",
					 "the last record that was known is missing here, or another one has its number: the log was cut off or written anew",
					 "missing", (json_int_t)a->known.seq, "missing_sha256", a->known.hash);
		rc = write_line(a, note, err);
		json_decref(note);
	}
	return rc ? rc : write_line(a, record, err);
}

int audit_append(struct audit *a, json_t *record, struct audit_head *ret_head, struct entente_err *err)
{
	struct stat st;
	int rc = open_locked(a, &st, err);
	if (!rc)
		rc = append_locked(a, &st, record, err);
	if (a->fd >= 0)
		flock(a->fd, LOCK_UN);
	json_decref(record);
	if (rc) {
		close_file(a); /* anew the next time */
		return rc;
	}
	*a->trouble = 0;
	a->known = a->head;
	if (ret_head)
		*ret_head = a->head;
	return 0;
}

/* ---- reading */

static int by_name(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

json_t *audit_files(const char *directory)
{
	json_t *list = json_array();
	DIR *d = opendir(directory);
	char **names = NULL, path[PATH_ROOM + 300];
	size_t n = 0, cap = 0;
	for (struct dirent *e; d && (e = readdir(d));) {
		struct slice s = slice_str(e->d_name);
		if (!slice_starts(s, S("audit-")) || !slice_ends(s, S(".jsonl")))
			continue;
		if (n == cap) {
			cap = cap ? 2 * cap : 16;
			names = mem_realloc(names, cap * sizeof *names);
		}
		names[n++] = mem_strndup(s.p, s.len);
	}
	if (d)
		closedir(d);
	if (n)
		qsort(names, n, sizeof *names, by_name);
	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/%s", directory, names[i]);
		json_array_append_new(list, json_string(path));
		mem_free(names[i]);
	}
	mem_free(names);
	snprintf(path, sizeof path, "%s/audit.jsonl", directory);
	if (access(path, F_OK) == 0)
		json_array_append_new(list, json_string(path));
	return list;
}

/* Calls fn for each line, without its newline; `whole` false for what comes after the last newline. */
static int lines(const char *path, bool (*fn)(void *arg, struct slice line, bool whole), void *arg, struct entente_err *err)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	bool more = true;
	if (!f)
		return err_set(err, ENTENTE_EIO, REASON_NONE, "%.150s cannot be read: %s", path, strerror(errno));
	while (more && (n = getline(&line, &cap, f)) > 0) {
		bool whole = line[n - 1] == '\n';
		more = fn(arg, slice_of(line, (size_t)n - whole), whole);
	}
	int rc = ferror(f) ? err_set(err, ENTENTE_EIO, REASON_NONE, "%.150s cannot be read: %s", path, strerror(errno)) : 0;
	free(line);
	fclose(f);
	return rc;
}

struct reader {
	bool (*each)(void *arg, json_t *record);
	void *arg;
	bool stopped;
};

static bool read_line(void *arg, struct slice line, bool whole)
{
	struct reader *r = arg;
	json_error_t e;
	json_t *o = whole && line.len <= AUDIT_RECORD_MAX ? json_loadb(line.p, line.len, JSON_REJECT_DUPLICATES, &e) : NULL;
	if (json_is_object(o))
		r->stopped = !r->each(r->arg, o);
	json_decref(o);
	return !r->stopped;
}

int audit_read(json_t *files, bool (*each)(void *arg, json_t *record), void *arg, struct entente_err *err)
{
	struct reader r = {each, arg, false};
	int rc = 0;
	for (size_t i = 0; !rc && !r.stopped && i < json_array_size(files); i++)
		rc = lines(json_string_value(json_array_get(files, i)), read_line, &r, err);
	return rc;
}

/* ---- verifying */

struct verifier {
	struct audit_report *ret;
	const struct audit_head *head;
	char expect[AUDIT_HASH]; /* what prev of the next one must be */
	uint64_t line;
};

static bool fault(struct verifier *v, enum audit_fault f)
{
	v->ret->fault = f;
	v->ret->line = v->line;
	v->ret->seq = v->ret->last;
	return false;
}

static bool verify_line(void *arg, struct slice line, bool whole)
{
	struct verifier *v = arg;
	struct audit_report *r = v->ret;
	json_error_t e;
	v->line++;
	json_t *o = whole && line.len && line.len <= AUDIT_RECORD_MAX ? json_loadb(line.p, line.len, JSON_REJECT_DUPLICATES, &e) : NULL;
	json_int_t seq = json_integer_value(json_object_get(o, "seq"));
	const char *prev = json_string_value(json_object_get(o, "prev")), *event = json_string_value(json_object_get(o, "event"));
	/* the order and the spelling too: a line is what we would write, octet for octet */
	char *again = o ? json_dumps(o, JSON_COMPACT) : NULL;
	bool ok = seq > 0 && prev && event && again && slice_eq(slice_str(again), line), chained = ok && (!r->records || !strcmp(prev, v->expect)),
	     begin = ok && v->line == 1 && (seq == 1 ? strcmp(prev, zeros) != 0 : strcmp(event, "continue") != 0);
	free(again);
	json_decref(o);
	if (!ok)
		return fault(v, AUDIT_BAD_RECORD);
	if (r->records && seq != r->last + 1)
		return fault(v, AUDIT_BAD_SEQUENCE);
	if (!chained || begin)
		return fault(v, begin && seq != 1 ? AUDIT_BAD_SEQUENCE : AUDIT_BAD_CHAIN);
	audit_hash(v->expect, line);
	if (v->head && seq == v->head->seq) {
		if (strcmp(v->expect, v->head->hash))
			return fault(v, AUDIT_OTHER_HEAD);
		r->head_seen = true;
	}
	if (!r->records++)
		r->first = seq;
	r->last = seq;
	return true;
}

int audit_verify(struct audit_report *ret, json_t *files, const struct audit_head *head, struct entente_err *err)
{
	struct verifier v = {.ret = ret, .head = head && head->seq ? head : NULL};
	int rc = 0;
	*ret = (struct audit_report){0};
	for (size_t i = 0; !rc && ret->fault == AUDIT_WHOLE && i < json_array_size(files); i++) {
		v.line = 0;
		slice_cstr(slice_str(json_string_value(json_array_get(files, i))), ret->file, sizeof ret->file);
		rc = lines(ret->file, verify_line, &v, err);
	}
	if (!rc && ret->fault == AUDIT_WHOLE && v.head && !ret->head_seen) {
		ret->fault = AUDIT_CUT;
		ret->line = v.line;
		ret->seq = v.head->seq;
	}
	snprintf(ret->last_hash, sizeof ret->last_hash, "%s", ret->records ? v.expect : "");
	return rc;
}

const char *audit_fault_text(enum audit_fault f)
{
	static const char *const texts[] = {
		[AUDIT_WHOLE] = "whole",
		[AUDIT_BAD_RECORD] = "it is not a record as Entente writes it",
		[AUDIT_BAD_CHAIN] = "it does not follow from the record before it: one of the two was altered",
		[AUDIT_BAD_SEQUENCE] = "its number does not follow the one before it: records were left out, put in or moved",
		[AUDIT_CUT] = "the last record that the database knows is missing: the end was cut off",
		[AUDIT_OTHER_HEAD] = "it is not the record that the database knows under this number: the log was written anew",
	};
	return texts[f];
}
