/* SPDX-License-Identifier: Apache-2.0 */
/* The chain: what is appended is whole; whatever is done to it afterwards is found. */
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "admin/audit.h"

static char dir[64];

static const char *path(const char *name)
{
	static char ring[4][128];
	static unsigned i;
	char *p = ring[i++ % 4];
	snprintf(p, 128, "%s/%s", dir, name);
	return p;
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/entente-audit-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int gone(const char *p, const struct stat *st, int type, struct FTW *w)
{
	(void)st;
	(void)type;
	(void)w;
	return remove(p);
}

static int teardown(void **state)
{
	(void)state;
	return nftw(dir, gone, 16, FTW_DEPTH | FTW_PHYS);
}

static void put(struct audit *a, const char *who, struct audit_head *head)
{
	struct entente_err err = {0};
	if (audit_append(a, json_pack("{s:s s:s s:s s:[ss]}", "who", who, "via", "test", "event", "begin", "command", "partner", "add"), head, &err))
		fail_msg("%s", err.text);
}

static struct audit_report check(const struct audit_head *head)
{
	struct audit_report r;
	struct entente_err err;
	json_t *files = audit_files(dir);
	assert_int_equal(audit_verify(&r, files, head, &err), 0);
	json_decref(files);
	return r;
}

static struct buf content(const char *p)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	FILE *f = fopen(p, "r");
	assert_non_null(f);
	for (int c; (c = fgetc(f)) != EOF;)
		buf_putc(&b, (char)c);
	fclose(f);
	return b;
}

static void write_file(const char *p, struct slice s)
{
	FILE *f = fopen(p, "w");
	assert_non_null(f);
	fwrite(s.p, 1, s.len, f);
	fclose(f);
}

/* ---- tests */

static void test_append(void **state)
{
	(void)state;
	struct audit *a = audit_new(dir, 0);
	struct audit_head head;
	assert_int_equal(check(NULL).records, 0);
	for (int i = 0; i < 5; i++)
		put(a, "root", &head);
	audit_free(a);
	a = audit_new(dir, 0); /* another day */
	put(a, "Zoë \"the\\ one\"\n", &head);
	audit_free(a);
	struct audit_report r = check(&head);
	assert_int_equal(r.fault, AUDIT_WHOLE);
	assert_true(r.records == 6 && r.first == 1 && r.last == 6 && r.head_seen);
	assert_string_equal(r.last_hash, head.hash);
	struct stat st;
	assert_int_equal(stat(path("audit.jsonl"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* Every octet, changed in several ways; every octet left out; one put in everywhere; every pair of lines changed places; every line left out
 * or doubled; cut at every place. The log is small, so all of it can be tried. */
static void test_tampering(void **state)
{
	(void)state;
	struct audit *a = audit_new(dir, 0);
	struct audit_head head;
	for (int i = 0; i < 4; i++)
		put(a, i % 2 ? "root" : "alice", &head);
	audit_free(a);
	const char *file = path("audit.jsonl");
	char where[128];
	snprintf(where, sizeof where, "%s", file);
	struct buf whole = content(where);
	struct slice s = buf_slice(&whole);
	char *copy = malloc(s.len + 1);
	size_t tried = 0;
	assert_int_equal(check(&head).fault, AUDIT_WHOLE);
	for (size_t i = 0; i < s.len; i++) {
		static const unsigned char flips[] = {0x01, 0x20, 0x80};
		for (size_t f = 0; f < sizeof flips; f++, tried++) {
			memcpy(copy, s.p, s.len);
			copy[i] = (char)(copy[i] ^ flips[f]);
			write_file(where, slice_of(copy, s.len));
			if (check(&head).fault == AUDIT_WHOLE)
				fail_msg("octet %zu of %zu changed by %x was not found", i, s.len, flips[f]);
		}
		memcpy(copy, s.p, i);
		memcpy(copy + i, s.p + i + 1, s.len - i - 1);
		write_file(where, slice_of(copy, s.len - 1));
		if (check(&head).fault == AUDIT_WHOLE)
			fail_msg("octet %zu left out was not found", i);
		static const char extra[] = {' ', '\n', '0'};
		for (size_t f = 0; f < sizeof extra; f++, tried++) {
			memcpy(copy, s.p, i);
			copy[i] = extra[f];
			memcpy(copy + i + 1, s.p + i, s.len - i);
			write_file(where, slice_of(copy, s.len + 1));
			if (check(&head).fault == AUDIT_WHOLE)
				fail_msg("'%c' put in at %zu was not found", extra[f], i);
		}
		write_file(where, slice_of(s.p, i)); /* cut */
		if (check(&head).fault == AUDIT_WHOLE)
			fail_msg("cut at %zu was not found", i);
	}
	assert_true(tried > 4000);
	/* lines */
	struct slice lines[4], rest = s;
	for (int i = 0; i < 4; i++) {
		ptrdiff_t end = slice_find_chr(rest, '\n');
		lines[i] = slice_first(rest, (size_t)end + 1);
		rest = slice_skip(rest, (size_t)end + 1);
	}
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 4; k++) {
			struct buf b;
			buf_init(&b, 1 << 20);
			for (int n = 0; n < 4; n++) {
				buf_put(&b, lines[n == i ? k : n == k ? i : n]); /* changed places */
				if (n == i && i == k)
					buf_truncate(&b, b.len - lines[n].len); /* left out */
			}
			write_file(where, buf_slice(&b));
			struct audit_report r = check(&head);
			assert_int_not_equal(r.fault, AUDIT_WHOLE);
			int first = i < k ? i : k;
			if (r.fault != AUDIT_CUT && first) /* the first broken one is named */
				assert_true(r.line == (uint64_t)first + 1);
			buf_free(&b);
		}
	free(copy);
	buf_free(&whole);
}

/* Somebody who can compute hashes writes the log anew from some place on: the database knows better. */
static void test_written_anew(void **state)
{
	(void)state;
	struct audit *a = audit_new(dir, 0);
	struct audit_head head, other;
	for (int i = 0; i < 3; i++)
		put(a, "mallory", &head);
	audit_free(a);
	unlink(path("audit.jsonl"));
	a = audit_new(dir, 0);
	for (int i = 0; i < 3; i++)
		put(a, "nobody", &other);
	audit_free(a);
	assert_int_equal(check(NULL).fault, AUDIT_WHOLE); /* in itself it is */
	struct audit_report r = check(&head);
	assert_int_equal(r.fault, AUDIT_OTHER_HEAD);
	assert_int_equal(r.line, 3);
	/* records after the head are fine: `entente` appends too, and does not know the database */
	struct audit_head old = other;
	a = audit_new(dir, 0);
	put(a, "root", &other);
	audit_free(a);
	r = check(&old);
	assert_true(r.fault == AUDIT_WHOLE && r.head_seen && r.last == 4);
}

static void test_turn_over(void **state)
{
	(void)state;
	struct audit *a = audit_new(dir, 1000);
	struct audit_head head;
	for (int i = 0; i < 40; i++)
		put(a, "root", &head);
	audit_free(a);
	json_t *files = audit_files(dir);
	size_t n = json_array_size(files);
	assert_true(n > 5 && n < 30);
	struct audit_report r = check(&head);
	assert_true(r.fault == AUDIT_WHOLE && r.records == 40 + n - 1 && r.last == head.seq && r.head_seen);
	/* a file is missing in the middle */
	char third[256], aside[256];
	snprintf(third, sizeof third, "%s", json_string_value(json_array_get(files, 2)));
	snprintf(aside, sizeof aside, "%s/aside", dir);
	assert_int_equal(rename(third, aside), 0);
	r = check(&head);
	assert_int_equal(r.fault, AUDIT_BAD_SEQUENCE);
	assert_string_equal(r.file, json_string_value(json_array_get(files, 3)));
	assert_int_equal(r.line, 1);
	assert_int_equal(rename(aside, third), 0);
	/* the oldest one was put into an archive: the rest is whole, and says where it begins */
	unlink(json_string_value(json_array_get(files, 0)));
	r = check(&head);
	assert_true(r.fault == AUDIT_WHOLE && r.first > 1 && r.last == head.seq);
	/* right after a file was put aside there is no present one */
	unlink(path("audit.jsonl"));
	a = audit_new(dir, 1000);
	put(a, "root", &head);
	audit_free(a);
	assert_int_equal(check(NULL).fault, AUDIT_WHOLE);
	json_decref(files);
}

static void test_half_line(void **state)
{
	(void)state;
	struct audit *a = audit_new(dir, 0);
	struct audit_head head;
	put(a, "root", &head);
	put(a, "root", &head);
	FILE *f = fopen(path("audit.jsonl"), "a");
	fputs("{\"seq\":3,\"at\":\"2026", f); /* the power went */
	fclose(f);
	assert_int_equal(check(&head).fault, AUDIT_BAD_RECORD);
	put(a, "root", &head);
	audit_free(a);
	struct audit_report r = check(&head);
	assert_true(r.fault == AUDIT_WHOLE && r.records == 4); /* with the note */
	struct buf b = content(path("audit.jsonl"));
	assert_true(slice_find(buf_slice(&b), S("was not written to its end")) > 0);
	buf_free(&b);
	/* a last line that is no record is not continued */
	f = fopen(path("audit.jsonl"), "a");
	fputs("nonsense\n", f);
	fclose(f);
	struct entente_err err = {0};
	a = audit_new(dir, 0);
	assert_int_equal(audit_append(a, json_pack("{s:s}", "event", "note"), NULL, &err), ENTENTE_EIO);
	assert_non_null(strstr(err.text, "audit verify"));
	assert_non_null(audit_trouble(a));
	audit_free(a);
	r = check(NULL);
	assert_true(r.fault == AUDIT_BAD_RECORD && r.line == 5 && r.last == 4);
}

/* Eight processes at once, turning files over all the time. */
static void test_many(void **state)
{
	(void)state;
	enum { PROCESSES = 8, EACH = 25 };
	for (int p = 0; p < PROCESSES; p++)
		if (fork() == 0) {
			struct audit *a = audit_new(dir, 4000);
			int bad = 0;
			for (int i = 0; i < EACH; i++)
				bad |= audit_append(a, json_pack("{s:s s:i s:i}", "event", "note", "process", p, "i", i), NULL, NULL);
			_exit(bad ? 1 : 0);
		}
	for (int p = 0; p < PROCESSES; p++) {
		int status;
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	struct audit_report r = check(NULL);
	json_t *list = audit_files(dir);
	size_t files = json_array_size(list);
	json_decref(list);
	assert_true(files > 5);
	if (r.fault != AUDIT_WHOLE || r.records != PROCESSES * EACH + files - 1)
		fail_msg("%s:%ju %s, %ju records", r.file, (uintmax_t)r.line, audit_fault_text(r.fault), (uintmax_t)r.records);
}

static void test_cannot(void **state)
{
	(void)state;
	struct entente_err err = {0};
	struct audit *a = audit_new("/proc/no/such", 0);
	assert_int_equal(audit_append(a, json_pack("{s:s}", "event", "note"), NULL, &err), ENTENTE_EIO);
	assert_non_null(strstr(err.text, "/proc/no/such/audit.jsonl cannot be opened"));
	audit_free(a);
	/* a full disk: the line is taken back, and when there is room again it goes on */
	assert_int_equal(symlink("/dev/full", path("audit.jsonl")), 0);
	a = audit_new(dir, 0);
	assert_int_equal(audit_append(a, json_pack("{s:s}", "event", "note"), NULL, &err), ENTENTE_EIO); /* links are not followed */
	unlink(path("audit.jsonl"));
	put(a, "root", NULL);
	assert_null(audit_trouble(a));
	/* too large for a line */
	char *big = malloc(AUDIT_RECORD_MAX + 1);
	memset(big, 'x', AUDIT_RECORD_MAX);
	big[AUDIT_RECORD_MAX] = 0;
	assert_int_equal(audit_append(a, json_pack("{s:s s:s}", "event", "note", "text", big), NULL, &err), ENTENTE_EIO);
	free(big);
	put(a, "root", NULL);
	audit_free(a);
	assert_true(check(NULL).records == 2 && check(NULL).fault == AUDIT_WHOLE);
}

static void test_heads(void **state)
{
	(void)state;
	struct audit_head h;
	char text[100];
	char hash[AUDIT_HASH];
	audit_hash(hash, S("abc")); /* FIPS 180-4 */
	assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	snprintf(text, sizeof text, "17 %s", hash);
	assert_true(audit_head_parse(&h, slice_str(text)) && h.seq == 17);
	assert_false(audit_head_parse(&h, S("17")));
	assert_false(audit_head_parse(&h, S("x abc")));
	assert_false(audit_head_parse(&h, S("")));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(test_append), T(test_tampering), T(test_written_anew), T(test_turn_over), T(test_half_line), T(test_many), T(test_cannot), T(test_heads)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
