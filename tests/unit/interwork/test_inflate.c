/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed bodies: what is understood, what is broken, and bombs. */
#include "parse.h"

#include <zlib.h>
#include "interwork/inflate.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(8 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_release(NULL, arena);
	return 0;
}

static struct slice squeeze(struct slice text, int window)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)text.p, .avail_in = (uInt)text.len};
	size_t cap = text.len + 1024;
	char *out = arena_bytes(arena, cap);
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)cap;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return slice_of(out, cap - z.avail_out);
}

static struct slice text_of(size_t n)
{
	char *p = arena_bytes(arena, n + 1);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + i * 7 % 23);
	return slice_of(p, n);
}

static void understood(void **state)
{
	static const struct {
		const char *name;
		int window;
	} rows[] = {{"deflate", 15}, {"deflate", -15}, {"gzip", 31}, {"x-gzip", 31}, {" Deflate ", 15}, {"GZIP", 31}};
	static const size_t sizes[] = {0, 1, 2047, 2048, 2049, 4096, 5000, 65535, 65536};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
			struct slice want = text_of(sizes[k]), got;
			assert_int_equal(interwork_inflate(&got, arena, slice_str(rows[i].name), squeeze(want, rows[i].window), 65536), 0);
			assert_true(slice_eq(got, want));
			arena_reset(arena);
		}
}

static void as_it_is(void **state)
{
	struct slice body = S("hello"), got;
	(void)state;
	assert_int_equal(interwork_inflate(&got, arena, SLICE_NONE, body, 2), 0); /* nothing is inflated, so nothing is limited */
	assert_ptr_equal(got.p, body.p);
	assert_int_equal(interwork_inflate(&got, arena, S("Identity"), body, 2), 0);
	assert_ptr_equal(got.p, body.p);
}

static void unknown(void **state)
{
	struct slice got = S("untouched");
	(void)state;
	assert_int_equal(interwork_inflate(&got, arena, S("br"), S("x"), 100), ENTENTE_EUNSUPPORTED);
	assert_int_equal(interwork_inflate(&got, arena, S("deflated"), S("x"), 100), ENTENTE_EUNSUPPORTED);
	assert_true(slice_eq(got, S("untouched")));
}

static void broken(void **state)
{
	struct slice whole = squeeze(text_of(3000), 15), got, more;
	(void)state;
	assert_int_equal(interwork_inflate(&got, arena, S("deflate"), SLICE_NONE, 100), ENTENTE_ESYNTAX);
	assert_int_equal(interwork_inflate(&got, arena, S("gzip"), S("<imdn/>"), 100), ENTENTE_ESYNTAX);
	assert_int_equal(interwork_inflate(&got, arena, S("deflate"), S("<imdn/>"), 100), ENTENTE_ESYNTAX);
	for (size_t n = 1; n < whole.len; n++)
		assert_int_equal(interwork_inflate(&got, arena, S("deflate"), slice_first(whole, n), 65536), ENTENTE_ESYNTAX);
	more = ARENA_JOIN(arena, whole, S("x"));
	assert_int_equal(interwork_inflate(&got, arena, S("deflate"), more, 65536), ENTENTE_ESYNTAX);
	char *bent = (char *)(uintptr_t)whole.p; /* the checksum at the end */
	bent[whole.len - 1] ^= 1;
	assert_int_equal(interwork_inflate(&got, arena, S("deflate"), whole, 65536), ENTENTE_ESYNTAX);
}

static void bombs(void **state)
{
	struct slice got = SLICE_NONE, zeros = slice_of(arena_alloc(arena, 2 << 20), 2 << 20), bomb = squeeze(zeros, 15);
	(void)state;
	assert_true(bomb.len < 4096);
	size_t before = arena_used(arena);
	assert_int_equal(interwork_inflate(&got, arena, S("deflate"), bomb, 65536), ENTENTE_ELIMIT);
	assert_true(arena_used(arena) - before < 4 * 65536);
	assert_int_equal(interwork_inflate(&got, arena, S("deflate"), bomb, (2 << 20) - 1), ENTENTE_ELIMIT);
	struct arena *small = arena_new(65536);
	assert_int_equal(interwork_inflate(&got, small, S("deflate"), bomb, 2 << 20), ENTENTE_ELIMIT);
	arena_release(NULL, small);
	assert_int_equal(interwork_inflate(&got, arena, S("deflate"), squeeze(slice_first(zeros, 100), 15), 99), ENTENTE_ELIMIT);
	assert_int_equal(interwork_inflate(&got, arena, S("deflate"), squeeze(slice_first(zeros, 100), 15), 100), 0);
	assert_null(got.p && got.len == 100 ? NULL : "100 octets");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(understood, setup, teardown), cmocka_unit_test_setup_teardown(as_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown, setup, teardown), cmocka_unit_test_setup_teardown(broken, setup, teardown),
		cmocka_unit_test_setup_teardown(bombs, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
