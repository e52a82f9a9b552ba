/* SPDX-License-Identifier: Apache-2.0 */
/* One setting changed in the text of a configuration. Input: the key, the value ("-" in front: the setting is removed), then the file. What comes out loads,
 * differs in this key alone, and the same change once more changes nothing; `config value` shows what loading finds. And any text, loaded twice, says the
 * same of its errors; what each loads to is explained by the table. */
#include "fuzz.h"
#include "config/config.h"
#include "config/edit.h"

static const char *wanted;

static void only(void *arg, const char *key, bool live)
{
	(void)arg, (void)live;
	MUST(!strcmp(key, wanted));
}

static void never(void *arg, const char *key, bool live)
{
	(void)arg, (void)key, (void)live;
	abort();
}

static void compare(struct slice x, struct slice y, const char *key)
{
	static struct config_errors errs;
	struct config *a = NULL, *b = NULL;
	MUST(config_parse(&a, x, false, &errs) == 0 && config_parse(&b, y, false, &errs) == 0);
	wanted = key;
	config_diff(a, b, key ? only : never, NULL);
	config_free(a);
	config_free(b);
}

static void twice(struct slice text)
{
	static struct config_errors one, two;
	struct config *a = NULL, *b = NULL;
	struct buf x, y;
	MUST(config_parse(&a, text, false, &one) == config_parse(&b, text, false, &two));
	MUST(one.n == two.n && one.n_errors == two.n_errors && !memcmp(one.list, two.list, one.n * sizeof *one.list));
	buf_init(&x, 16 << 20);
	buf_init(&y, 16 << 20);
	if (a) {
		config_dump(&x, a);
		config_dump(&y, b);
		MUST(slice_eq(buf_slice(&x), buf_slice(&y)));
	}
	config_free(a);
	config_free(b);
	buf_free(&x);
	buf_free(&y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_of((const char *)data, size), key = slice_split(&text, '\n'), value = slice_split(&text, '\n');
	char name[128];
	struct buf out, again, shown;
	struct entente_err err = {0};
	if (size > 16384 || !text.p)
		return 0;
	twice(text);
	if (slice_starts(value, S("-")))
		value = SLICE_NONE;
	buf_init(&out, 4 << 20);
	buf_init(&again, 4 << 20);
	buf_init(&shown, 4 << 20);
	int rc = config_edit(&out, text, key, value, &err);
	MUST(!rc || (err.text[0] && !out.len));
	if (!rc) {
		MUST(slice_cstr(key, name, sizeof name) && buf_ok(&out));
		compare(text, buf_slice(&out), name);
		if (!config_edit(&again, buf_slice(&out), key, value, &err))
			compare(buf_slice(&out), buf_slice(&again), NULL);
		MUST(config_explain(&shown, key, &err) == 0 && shown.len);
	}
	buf_free(&out);
	buf_free(&again);
	buf_free(&shown);
	return 0;
}
