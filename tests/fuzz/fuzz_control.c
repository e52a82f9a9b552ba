/* SPDX-License-Identifier: Apache-2.0 */
/* What comes over the control socket, in pieces of the size that the first octet says, against a real store; and the same octets
 * as a command line, one word per line. */
#include <ftw.h>
#include <unistd.h>
#include "admin/admin.h"
#include "admin/command.h"
#include "../unit/external.h"

static struct {
	char dir[64];
	struct store *store;
	struct snapshot *snapshot;
	struct admin *admin;
} rig;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int partner(void *arg, const struct policy_partner *p)
{
	snapshot_builder_partner(arg, p, NULL);
	return 0;
}

static int block(void *arg, const struct store_block *b)
{
	snapshot_builder_block(arg, b->domain, NULL);
	return 0;
}

static int changed(void *arg, struct entente_err *err)
{
	static const struct slice domains[] = {S("contoso.test")};
	struct policy_home home = {.name = S("main"), .next_hop = S("sip:10.0.0.5"), .domains = domains, .n_domains = 1};
	struct snapshot_builder *b = snapshot_builder_new();
	everybody_may(b);
	(void)arg;
	if (snapshot_builder_home(b, &home, err) || store_load_policy(rig.store, partner, block, b, NULL, err))
		abort();
	snapshot_unref(rig.snapshot);
	rig.snapshot = snapshot_builder_freeze(b, 1);
	return 0;
}

static struct snapshot *snapshot(void *arg)
{
	(void)arg;
	return rig.snapshot;
}

static void status(void *arg, json_t *object)
{
	(void)arg;
	(void)object;
}

static int show(void *arg, enum admin_show what, json_t *array, struct entente_err *err)
{
	(void)arg;
	(void)what;
	(void)err;
	json_array_append_new(array, json_pack("{s:s}", "state", "up"));
	return 0;
}

static void attempts(void *arg, struct slice domain, json_t *array)
{
	(void)arg;
	json_array_append_new(array, json_pack("{s:I}", "length", (json_int_t)domain.len));
}

/* Commands that take time are refused: nothing goes on behind the fuzzer. */
static int test(void *arg, const struct admin_test *what, struct admin_task *t, struct entente_err *err)
{
	(void)arg, (void)what, (void)t;
	return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "too many tests");
}

static int trace(void *arg, const struct admin_trace *what, struct admin_task *t, struct entente_err *err)
{
	(void)arg, (void)what, (void)t;
	return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "too many traces");
}

static void cancel(void *arg, struct admin_task *t)
{
	(void)arg, (void)t;
}

static void metrics(void *arg, struct buf *out)
{
	(void)arg;
	buf_puts(out, "entente_up 1\n");
}

static bool contact(void *arg, struct slice local, struct slice remote)
{
	(void)arg;
	return local.len > remote.len;
}

static int address(void *arg, struct slice text, bool *ret_is_sip, char *ret_jid, size_t size, struct entente_err *err)
{
	(void)arg;
	*ret_is_sip = slice_starts(text, S("sip:"));
	return slice_cstr(text, ret_jid, size) ? 0 : err_set(err, ENTENTE_ELIMIT, REASON_ADDRESS_TOO_LONG, "too long");
}

static int reload(void *arg, struct config_errors *errs)
{
	(void)arg;
	errs->n = errs->n_errors = 0;
	return 0;
}

static int erase(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void finish(void)
{
	admin_free(rig.admin);
	store_close(rig.store);
	snapshot_unref(rig.snapshot);
	nftw(rig.dir, erase, 8, FTW_DEPTH | FTW_PHYS);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct admin_ops ops = {.status = status, .show = show, .attempts = attempts, .test = test, .trace = trace, .cancel = cancel,
					     .metrics = metrics, .snapshot = snapshot, .contact = contact, .address = address, .policy_changed = changed,
					     .reload = reload};
	struct entente_err err = {0};
	(void)argc;
	(void)argv;
	snprintf(rig.dir, sizeof rig.dir, "/tmp/entente-fuzz-XXXXXX");
	if (!mkdtemp(rig.dir) || store_open(&rig.store, &(struct store_options){.directory = rig.dir}, &err))
		abort();
	changed(NULL, &err);
	rig.admin = admin_new(rig.store, &ops, NULL);
	atexit(finish);
	return 0;
}

static void as_line(struct slice text)
{
	char *z = strndup(text.p, text.len);
	const char *words[64];
	int n = 0;
	for (char *p = z; p && n < 64;) {
		words[n++] = p;
		p = strchr(p, '\n');
		if (p)
			*p++ = 0;
	}
	struct admin_line l;
	struct buf why;
	buf_init(&why, 1 << 20);
	admin_line_parse(&l, n, words, &why);
	admin_line_free(&l);
	buf_free(&why);
	free(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	size_t step = data[0] ? data[0] : size;
	struct slice text = slice_of((const char *)data + 1, size - 1);
	struct admin_session *s = admin_session_new(rig.admin, (uint32_t)-1);
	struct buf out;
	buf_init(&out, ADMIN_RESPONSE_MAX + 1024);
	for (struct slice rest = text; rest.len; rest = slice_skip(rest, step))
		if (admin_session_input(s, slice_first(rest, step), &out))
			break;
	admin_session_input(s, S("\n"), &out);
	/* whatever came, each line of the answer is an object with an exit code */
	for (struct slice rest = buf_slice(&out); rest.len;) {
		struct slice line = slice_split(&rest, '\n');
		json_t *j = json_loadb(line.p, line.len, 0, NULL);
		if (!json_is_integer(json_object_get(j, "exit")))
			abort();
		json_decref(j);
	}
	buf_free(&out);
	admin_session_free(s);
	if (text.p)
		as_line(text);
	return 0;
}
