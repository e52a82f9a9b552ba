/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration text: no crash, an answer that agrees with itself, and what is loaded can be printed and loaded again. */
#include <stdlib.h>
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void differs(void *arg, const char *key, bool live)
{
	(void)arg, (void)key, (void)live;
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config_errors errs, again_errs;
	struct config *c = NULL, *again = NULL;
	struct buf out;
	buf_init(&out, 16 << 20);
	int rc = config_parse(&c, slice_of((const char *)data, size), false, &errs);
	if ((rc == 0) != (c != NULL) || (rc == 0) != (errs.n_errors == 0) || errs.n > CONFIG_ERRORS_MAX)
		abort();
	config_errors_print(&out, "fuzz", &errs);
	if (c) {
		struct snapshot_builder *b = snapshot_builder_new();
		config_build_snapshot(b, c);
		struct snapshot *s = snapshot_builder_freeze(b, 1);
		if (snapshot_home_count(s) != c->n_homes)
			abort();
		snapshot_unref(s);
		buf_clear(&out);
		config_dump(&out, c);
		if (buf_ok(&out) && out.len <= CONFIG_FILE_MAX) {
			if (config_parse(&again, buf_slice(&out), false, &again_errs))
				abort();
			config_diff(c, again, differs, NULL);
			config_free(again);
		}
		config_free(c);
	}
	buf_free(&out);
	return 0;
}
