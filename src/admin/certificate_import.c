/* SPDX-License-Identifier: Apache-2.0 */
/* What has come from the authority: read, judged, kept, and put into its place. */
#include "admin/certificate.h"

#include <dirent.h>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>
#include "base/clock.h"
#include "config/config.h"
#include "plan/install.h"

static void finding(json_t *list, bool error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void finding(json_t *list, bool error, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	json_t *o = json_pack("{s:s}", "severity", error ? "error" : "warning");
	admin_set_text(o, "text", slice_str(text));
	json_array_append_new(list, o);
}

/* ---- reading what has come */

/* From the terminal, unseen. False: there is no terminal. */
static bool ask_password(struct buf *ret)
{
	struct termios was, quiet;
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || tcgetattr(fd, &was)) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	static const char prompt[] = "Password of the file: ";
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ECHONL;
	tcsetattr(fd, TCSAFLUSH, &quiet);
	bool ok = write(fd, prompt, sizeof prompt - 1) > 0;
	for (char ch; ok && read(fd, &ch, 1) == 1 && ch != '\n' && buf_ok(ret);)
		buf_putc(ret, ch);
	tcsetattr(fd, TCSAFLUSH, &was);
	close(fd);
	return ok;
}

struct opening {
	struct admin_call *c;
	struct buf password;
	bool given, asked;
	struct plan_bundle *bundle;
};

static int read_password(struct opening *o)
{
	struct entente_err err = {0};
	struct slice file = admin_arg_text(o->c, "password-file");
	buf_init(&o->password, 4096 + 16384);
	buf_reserve(&o->password, 16384);
	if (!file.p)
		return ADMIN_EXIT_OK;
	if (plan_file_read(&o->password, file.p, 1024, &err))
		return certificate_fail(o->c, &err);
	ptrdiff_t end = slice_find_chr(buf_slice(&o->password), '\n');
	if (end >= 0)
		buf_truncate(&o->password, (size_t)end);
	if (o->password.len && buf_slice(&o->password).p[o->password.len - 1] == '\r')
		buf_truncate(&o->password, o->password.len - 1);
	o->given = true;
	return ADMIN_EXIT_OK;
}

static struct slice password_of(const struct opening *o)
{
	static const char none[] = "";
	if (!o->given)
		return SLICE_NONE;
	return o->password.len ? buf_slice(&o->password) : slice_of(none, 0);
}

static int add_file(struct opening *o, const char *path, bool key_only)
{
	struct buf b;
	struct entente_err err = {0};
	int exit = ADMIN_EXIT_OK;
	buf_init(&b, CERTIFICATE_FILE_MAX + 2 * 16384);
	int rc = plan_file_read(&b, path, CERTIFICATE_FILE_MAX, &err);
	if (!rc && key_only) {
		plan_bundle_add_key(o->bundle, buf_slice(&b), path, password_of(o));
	} else if (!rc) {
		rc = plan_bundle_add(o->bundle, buf_slice(&b), path, password_of(o), &err);
		if (rc == ENTENTE_EAUTH && !o->given && !o->asked && !o->c->json) {
			o->asked = true;
			o->given = ask_password(&o->password);
			if (o->given)
				rc = plan_bundle_add(o->bundle, buf_slice(&b), path, password_of(o), &err);
		}
	}
	if (rc && !key_only)
		exit = certificate_fail(o->c, &err);
	buf_wipe(&b);
	return exit;
}

/* Keys that may be meant: those of requests that wait, and those in use. What cannot be read is not looked at. */
static void add_keys_of(struct opening *o, const char *folder)
{
	DIR *d = opendir(folder);
	for (struct dirent *e; d && (e = readdir(d));) {
		char path[CERTIFICATE_PATH_MAX];
		if (slice_ends(slice_str(e->d_name), S(".key")) && certificate_path(path, folder, e->d_name, ""))
			add_file(o, path, true);
	}
	if (d)
		closedir(d);
}

static void add_known_keys(struct opening *o, const struct certificate_place *p)
{
	add_keys_of(o, p->keys);
	if (strcmp(p->keys, p->shelf))
		add_keys_of(o, p->shelf);
	for (int s = 0; s < PLAN_SLOT_COUNT; s++) {
		const char *key = plan_slot_files(p->config, (enum plan_slot)s).key;
		if (*key)
			add_file(o, key, true);
	}
}

/* Files and keys of the arguments to one pair. */
static int open_pair(struct admin_call *c, const struct certificate_place *p, const char *const *paths, size_t n, struct plan_pair *ret)
{
	struct opening o = {.c = c, .bundle = plan_bundle_new()};
	struct entente_err err = {0};
	struct slice key = admin_arg_text(c, "key");
	int exit = read_password(&o);
	if (!exit && key.p)
		exit = add_file(&o, key.p, false);
	for (size_t i = 0; !exit && i < n; i++)
		exit = add_file(&o, paths[i], false);
	if (!exit && !key.p && plan_bundle_pair(ret, o.bundle, &err) == 0)
		goto out;
	if (!exit && !key.p)
		add_known_keys(&o, p);
	if (!exit && plan_bundle_pair(ret, o.bundle, &err)) {
		exit = admin_fail(c, ADMIN_EXIT_FINDING, err.code == ENTENTE_ENOTFOUND ? "no-key" : "not-usable",
				  err.code == ENTENTE_ENOTFOUND ? "give the file with its key by --key; looked at were the files, the keys that are kept and the keys in use" : NULL, "%s", err.text);
	}
out:
	plan_bundle_free(o.bundle);
	buf_wipe(&o.password);
	return exit;
}

/* ---- checks */

/* An intermediate that the partner would have to guess. A chain of several whose end nobody here knows may lead to an authority of one's own:
 * that is only worth a warning, which plan_slot_check gives. */
static bool chain_incomplete(const struct certificate_place *p, const struct plan_pair *pair, const char *chain, const char *key)
{
	struct tls_settings s = {.server_chain = chain, .server_key = key, .trust_file = *p->config->tls_trust ? p->config->tls_trust : NULL};
	struct tls_material *m = NULL;
	struct entente_err err;
	char why[256];
	bool bad = pair->end == PLAN_CHAIN_TRUSTED && pair->n_chain == 1 && tls_material_load(&m, &s, &err) == 0 && tls_material_verify(m, TLS_SLOT_SERVER, why, sizeof why) == TLS_CHAIN_INCOMPLETE;
	tls_material_unref(m);
	return bad;
}

/* Fills findings. How many are errors, which only --force overcomes. */
static size_t check_pair(struct admin_call *c, const struct certificate_place *p, const struct plan_pair *pair, enum plan_slot slot, const char *chain, const char *key)
{
	const struct tls_peer *f = pair->facts;
	const struct plan_certificate *want = certificate_planned(p, slot);
	json_t *list = json_object_get(c->data, "findings");
	size_t errors = 0, covered = 0;
	struct config_errors errs = {0};
	bool incomplete = chain_incomplete(p, pair, chain, key);
	if (incomplete) {
		finding(list, true, "the intermediate certificate %s is missing: get it%s%s from the authority and import both files together", pair->top, *pair->fetch ? " at " : "", pair->fetch);
		errors++;
	}
	enum plan_expiry end = plan_expiry(f->not_before, f->not_after, clock_unix());
	if (end == PLAN_EXPIRY_OVER) {
		finding(list, true, "it has expired");
		errors++;
	}
	if (f->eku_any_present && !f->eku_server) {
		finding(list, true, "it is not for servers (its extended key usage lacks serverAuth): nobody believes a server that shows it");
		errors++;
	}
	for (size_t i = 0; want && i < want->n_names; i++)
		covered += plan_name_covered(f, want->names[i]);
	if (want && want->n_names && !covered) {
		finding(list, true, "it has none of the names that the configuration asks for, not even %.*s: is it for another server?", SFMT(want->names[0]));
		errors++;
	}
	plan_slot_check(p->config, slot, chain, key, &errs);
	for (size_t i = 0; i < errs.n; i++) {
		/* what was said above in other words */
		const char *t = errs.list[i].text;
		bool said = (incomplete && strstr(t, "intermediate")) || (end == PLAN_EXPIRY_OVER && strstr(t, "has expired")) || (f->eku_any_present && !f->eku_server && strstr(t, "serverAuth"));
		struct slice text = slice_str(t);
		ptrdiff_t at = slice_find(text, slice_str(chain));
		if (said)
			continue;
		if (at >= 0) /* not the name of a file that will soon be gone */
			finding(list, !errs.list[i].warning, "it%.*s", SFMT(slice_skip(text, (size_t)at + strlen(chain))));
		else
			finding(list, !errs.list[i].warning, "%s", t);
		errors += !errs.list[i].warning;
	}
	return errors;
}

static int refuse(struct admin_call *c)
{
	json_t *list = json_object_get(c->data, "findings"), *o;
	size_t i, n = 0;
	const char *first = "";
	json_array_foreach(list, i, o)
		if (!strcmp(admin_get_text(o, "severity"), "error")) {
			if (!n++)
				first = admin_get_text(o, "text");
		} else {
			admin_warn(c, "%s", admin_get_text(o, "text"));
		}
	return admin_fail(c, ADMIN_EXIT_FINDING, "not-usable", "nothing was changed; --force takes it all the same", "the certificate is not usable: %s%s", first, n > 1 ? " (and more)" : "");
}

/* ---- placing */

struct placed {
	struct plan_install install[PLAN_SLOT_COUNT];
	size_t n;
};

/* The files of before again. */
static void take_back(struct placed *d)
{
	for (size_t i = 0; i < d->n; i++) {
		char old[PLAN_PATH_MAX + 16];
		const char *const places[] = {d->install[i].key, d->install[i].chain};
		for (int k = 0; k < 2; k++) {
			snprintf(old, sizeof old, "%s.previous", places[k]);
			if (rename(old, places[k]))
				unlink(places[k]); /* there was none */
		}
	}
}

static int reload(struct admin_call *c, struct placed *done)
{
	static const char *const words[] = {"reload", NULL};
	struct buf why;
	int exit = ADMIN_EXIT_OK;
	if (admin_arg_bool(c, "no-reload", false)) {
		json_object_set_new(c->data, "reload", json_string("not asked for"));
		certificate_next(c, "entente reload");
		return exit;
	}
	buf_init(&why, 4096);
	json_t *answer = admin_ask(c, words, NULL, &why), *data = json_object_get(answer, "data"), *error = json_object_get(answer, "error");
	if (!answer) {
		json_object_set_new(c->data, "reload", json_string("no daemon answers: it reads the files when it starts"));
	} else if (json_integer_value(json_object_get(answer, "exit")) == 0) {
		json_object_set_new(c->data, "reload", json_string("done"));
	} else {
		json_t *findings = json_object_get(data, "findings"), *o;
		const char *text = admin_get_text(error, "text");
		size_t i;
		json_array_foreach(findings, i, o)
			if (strcmp(admin_get_text(o, "severity"), "warning"))
				text = admin_get_text(o, "text");
		take_back(done);
		exit = admin_fail(c, ADMIN_EXIT_FINDING, "reload-refused", "the files of before are in their places again; the daemon shows what it showed", "the daemon refused the reload: %s", text);
	}
	json_decref(answer);
	buf_free(&why);
	return exit;
}

static int place_one(struct admin_call *c, const struct certificate_place *p, const struct plan_pair *pair, enum plan_slot slot, struct placed *done, bool *ret_bad)
{
	struct plan_slot_files f = plan_slot_files(p->config, slot);
	struct plan_install *i = &done->install[done->n];
	struct entente_err err = {0};
	char old[PLAN_PATH_MAX + 16];
	if (!*f.certificate || !*f.key)
		return admin_fail(c, ADMIN_EXIT_FINDING, "not-configured", "set both in the configuration, then assign again", "%s and %s name no files: the usage %s shares the server's certificate",
				  f.certificate_setting, f.key_setting, plan_slot_name(slot));
	if (plan_install_prepare(i, f.certificate, f.key, buf_slice(&pair->chain), buf_slice(&pair->key), &err))
		return err.code == ENTENTE_EREFUSED ? admin_fail(c, ADMIN_EXIT_FINDING, "not-ours", NULL, "%s", err.text) : certificate_fail(c, &err);
	done->n++;
	*ret_bad |= check_pair(c, p, pair, slot, i->new_chain, i->new_key) > 0;
	snprintf(old, sizeof old, "%s.previous", f.certificate);
	json_t *o = json_pack("{s:s}", "usage", plan_slot_name(slot));
	admin_set_text(o, "certificate", slice_str(f.certificate));
	admin_set_text(o, "key", slice_str(f.key));
	admin_set_text(o, "previous", access(f.certificate, F_OK) == 0 ? slice_str(old) : S(""));
	json_array_append_new(json_object_get(c->data, "assigned"), o);
	return ADMIN_EXIT_OK;
}

/* All usages or none. `judged`: the findings are there already. */
static int place(struct admin_call *c, const struct certificate_place *p, const struct plan_pair *pair, const enum plan_slot *slots, size_t n, bool judged)
{
	struct placed done = {.n = 0};
	struct entente_err err = {0};
	bool bad = false, keep = false;
	int exit = ADMIN_EXIT_OK;
	json_t *findings = json_incref(json_object_get(c->data, "findings"));
	if (judged) /* the same certificate is not told about twice */
		json_object_set_new(c->data, "findings", json_array());
	for (size_t i = 0; !exit && i < n; i++)
		exit = place_one(c, p, pair, slots[i], &done, &bad);
	if (judged)
		json_object_set(c->data, "findings", findings);
	json_decref(findings);
	if (!exit && bad && !judged && !admin_arg_bool(c, "force", false))
		exit = refuse(c);
	keep = !exit && !admin_arg_bool(c, "what-if", false);
	size_t put = 0;
	for (; keep && !exit && put < done.n; put++)
		if (plan_install_commit(&done.install[put], &err))
			exit = certificate_fail(c, &err);
	if (keep && exit) {
		done.n = put ? put - 1 : 0;
		take_back(&done);
	}
	for (size_t i = 0; i < n; i++) /* harmless where it is done */
		plan_install_abort(&done.install[i]);
	if (keep && !exit)
		exit = reload(c, &done);
	return exit;
}

/* ---- import, assign */

static void set_pair(struct admin_call *c, const struct certificate_place *p, const struct plan_pair *pair, enum plan_slot slot)
{
	certificate_facts(c->data, pair->facts);
	certificate_missing(c->data, pair->facts, certificate_planned(p, slot));
	json_object_set_new(c->data, "key", json_string(pair->key_kind));
	admin_set_text(c->data, "key_from", slice_str(pair->key_name));
	json_object_set_new(c->data, "chain", json_integer((json_int_t)pair->n_chain));
	json_object_set_new(c->data, "findings", json_array());
	json_object_set_new(c->data, "assigned", json_array());
	json_object_set_new(c->data, "changed", json_boolean(!admin_arg_bool(c, "what-if", false)));
}

/* Letters, digits, dots, hyphens: it becomes a file's name. */
static bool good_name(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char ch = s.p[i];
		if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '_' || (ch == '.' && i)))
			return false;
	}
	return s.len && !slice_ends(s, S("-request"));
}

static void name_of(const struct admin_call *c, const struct plan_pair *pair, char ret[320])
{
	struct slice given = admin_arg_text(c, "name"), first = pair->facts->n_dns ? pair->facts->dns[0] : S("certificate");
	char end[CLOCK_TEXT];
	if (given.p) {
		slice_cstr(given, ret, 320);
		return;
	}
	if (slice_starts(first, S("*.")))
		first = slice_skip(first, 2);
	clock_text_at(pair->facts->not_after, end);
	snprintf(ret, 320, "%.*s-%.10s", SFMT(slice_first(first, 255)), end);
	if (!good_name(slice_str(ret)))
		snprintf(ret, 320, "certificate-%.10s", end);
}

/* The request has its certificate now. */
static void end_request(const struct certificate_place *p, const struct plan_pair *pair)
{
	for (int s = 0; s < PLAN_SLOT_COUNT; s++) {
		char path[CERTIFICATE_PATH_MAX], stem[32];
		const char *const folders[] = {p->keys, p->shelf};
		snprintf(stem, sizeof stem, "%s-request", plan_slot_name((enum plan_slot)s));
		for (int i = 0; i < 2; i++)
			if (certificate_path(path, folders[i], stem, ".key") && !strcmp(path, pair->key_name)) {
				unlink(path);
				if (certificate_path(path, p->shelf, stem, ".csr"))
					unlink(path);
			}
	}
}

static int import_run(struct admin_call *c)
{
	struct certificate_place p;
	struct plan_pair pair = {0};
	struct plan_install keep = {0};
	struct entente_err err = {0};
	enum plan_slot slots[PLAN_SLOT_COUNT], first = PLAN_SLOT_SERVER;
	size_t n = certificate_usages(c, slots, false), i;
	json_t *files = admin_arg_list(c, "certificate"), *one;
	const char *paths[PLAN_BUNDLE_MAX];
	char chain[CERTIFICATE_PATH_MAX], key[CERTIFICATE_PATH_MAX], name[320];
	bool what_if = admin_arg_bool(c, "what-if", false);
	int exit = certificate_place_open(&p, c);
	if (!exit && json_array_size(files) > PLAN_BUNDLE_MAX)
		exit = admin_fail(c, ADMIN_EXIT_USAGE, "usage", NULL, "more than %d files", PLAN_BUNDLE_MAX);
	json_array_foreach(files, i, one)
		if (i < PLAN_BUNDLE_MAX)
			paths[i] = json_string_value(one);
	if (!exit)
		exit = open_pair(c, &p, paths, json_array_size(files), &pair);
	if (exit)
		goto out;
	first = n ? slots[0] : PLAN_SLOT_SERVER;
	set_pair(c, &p, &pair, first);
	name_of(c, &pair, name);
	if (!good_name(slice_str(name))) {
		exit = admin_fail(c, ADMIN_EXIT_USAGE, "usage", "right is for example edge-2027", "--name: letters, digits, dots and hyphens only");
		goto out;
	}
	if (!certificate_path(chain, p.shelf, name, ".pem") || !certificate_path(key, p.keys, name, ".key"))
		exit = admin_fail(c, ADMIN_EXIT_USAGE, "usage", NULL, "a path is too long");
	if (!exit)
		exit = certificate_shelf_open(c, &p);
	if (!exit && plan_install_prepare(&keep, chain, key, buf_slice(&pair.chain), buf_slice(&pair.key), &err))
		exit = certificate_fail(c, &err);
	if (exit)
		goto out;
	if (check_pair(c, &p, &pair, first, keep.new_chain, keep.new_key) && !admin_arg_bool(c, "force", false))
		exit = refuse(c);
	if (!exit && !what_if && plan_install_commit(&keep, &err))
		exit = certificate_fail(c, &err);
	if (exit)
		goto out;
	admin_set_text(c->data, "certificate_name", slice_str(name));
	admin_set_text(c->data, "certificate_file", slice_str(chain));
	admin_set_text(c->data, "key_file", slice_str(key));
	if (n)
		exit = place(c, &p, &pair, slots, n, true);
	else
		certificate_next(c, "entente certificate assign %s --usage server", name);
	if (!exit && !what_if)
		end_request(&p, &pair);
	else if (exit && !what_if)
		admin_warn(c, "it is kept as %s: `entente certificate assign %s --usage %s` puts it there", name, name, plan_slot_name(first));
out:
	plan_install_abort(&keep);
	plan_pair_clear(&pair);
	certificate_place_clear(&p);
	return exit;
}

/* The key of what is kept: in its folder, or, from before there was one, on the shelf. */
static bool key_of(const struct certificate_place *p, const char *name, char ret[CERTIFICATE_PATH_MAX])
{
	return certificate_path(ret, p->keys, name, ".key") && (access(ret, F_OK) == 0 || certificate_path(ret, p->shelf, name, ".key"));
}

static int assign_run(struct admin_call *c)
{
	struct certificate_place p;
	struct plan_pair pair = {0};
	enum plan_slot slots[PLAN_SLOT_COUNT];
	size_t n = certificate_usages(c, slots, true);
	struct slice given = admin_arg_text(c, "certificate");
	char path[CERTIFICATE_PATH_MAX], key[CERTIFICATE_PATH_MAX];
	const char *paths[2] = {path, key};
	int exit = certificate_place_open(&p, c);
	if (exit)
		return exit;
	bool kept = slice_find_chr(given, '/') < 0;
	bool fits = kept ? certificate_path(path, p.shelf, given.p, ".pem") && key_of(&p, given.p, key) : slice_cstr(given, path, sizeof path);
	if (!fits || (kept && !good_name(given)))
		exit = admin_fail(c, ADMIN_EXIT_USAGE, "usage", "`entente certificate show` lists the names; a path has a / in it", "'%.*s' is no name of a certificate", SFMT(slice_first(given, 100)));
	else if (kept && access(path, F_OK))
		exit = admin_fail(c, ADMIN_EXIT_FINDING, "not-found", "`entente certificate show` lists what is kept", "no certificate %.*s is kept in %s", SFMT(slice_first(given, 100)), p.shelf);
	if (!exit)
		exit = open_pair(c, &p, paths, kept && !admin_arg_given(c, "key") ? 2 : 1, &pair);
	if (!exit) {
		set_pair(c, &p, &pair, slots[0]);
		exit = place(c, &p, &pair, slots, n, false);
	}
	plan_pair_clear(&pair);
	certificate_place_clear(&p);
	return exit;
}

static void pair_print(struct admin_call *c)
{
	json_t *o, *list;
	size_t i;
	const char *name = admin_get_text(c->data, "certificate_name");
	buf_puts(&c->text, *name ? "Imported" : "Assigned");
	if (*name)
		buf_printf(&c->text, " as %s", name);
	buf_puts(&c->text, json_is_false(json_object_get(c->data, "changed")) ? " (not really: --what-if)\n" : "\n");
	certificate_row(c, "subject", json_object_get(c->data, "subject"));
	certificate_row(c, "issuer", json_object_get(c->data, "issuer"));
	certificate_row(c, "names", json_object_get(c->data, "names"));
	if (json_array_size(json_object_get(c->data, "missing")))
		certificate_row(c, "it lacks", json_object_get(c->data, "missing"));
	certificate_row(c, "valid until", json_object_get(c->data, "not_after"));
	certificate_row(c, "key", json_object_get(c->data, "key"));
	certificate_row(c, "key from", json_object_get(c->data, "key_from"));
	certificate_row(c, "chain", json_object_get(c->data, "chain"));
	list = json_object_get(c->data, "findings");
	json_array_foreach(list, i, o)
		certificate_row(c, admin_get_text(o, "severity"), json_object_get(o, "text"));
	list = json_object_get(c->data, "assigned");
	json_array_foreach(list, i, o) {
		certificate_row(c, admin_get_text(o, "usage"), json_object_get(o, "certificate"));
		if (*admin_get_text(o, "previous"))
			certificate_row(c, "  before", json_object_get(o, "previous"));
	}
	if (json_object_get(c->data, "reload"))
		certificate_row(c, "reload", json_object_get(c->data, "reload"));
	certificate_print_next(c);
}

const struct admin_handler admin_certificate_import = {import_run, pair_print}, admin_certificate_assign = {assign_run, pair_print};
