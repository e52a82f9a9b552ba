/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that make, take and place certificates. They work on files as whoever calls them may, and ask the daemon only to reload. */
#include "admin/certificate.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/enc.h"
#include "config/config.h"
#include "plan/install.h"
#include "plan/request.h"
#include "plan/site.h"

enum { ARENA_MAX = 8 << 20 };

/* ---- the place */

static const char *file_of(const struct admin_call *c)
{
	const char *z = json_string_value(json_object_get(c->args, "file"));
	return z ? z : "/etc/entente/entente.yaml";
}

bool certificate_path(char ret[CERTIFICATE_PATH_MAX], const char *directory, const char *name, const char *suffix)
{
	return snprintf(ret, CERTIFICATE_PATH_MAX, "%s/%s%s", directory, name, suffix) < CERTIFICATE_PATH_MAX;
}

/* The plan as `entente plan certificates` makes it; a configuration without domains has none. */
static void make_plan(struct certificate_place *p, const struct admin_call *c)
{
	struct plan_site site;
	json_t *domains = admin_arg_list(c, "domain"), *addresses = admin_arg_list(c, "address"), *one;
	size_t i;
	if (plan_site_config(&site, p->arena, p->config))
		return;
	struct slice *all = arena_alloc(p->arena, (site.n_domains + json_array_size(domains) + 1) * sizeof *all);
	struct slice *at = arena_alloc(p->arena, (json_array_size(addresses) + 1) * sizeof *at);
	if (!all || !at)
		return;
	for (i = 0; i < site.n_domains; i++)
		all[i] = site.domains[i];
	json_array_foreach(domains, i, one)
		all[site.n_domains++] = slice_str(json_string_value(one));
	json_array_foreach(addresses, i, one)
		at[site.n_addresses++] = slice_str(json_string_value(one));
	site.domains = all;
	site.addresses = at;
	site.sip_federation |= admin_arg_bool(c, "sip-federation", false);
	site.sip_client_eku = admin_arg_bool(c, "client-eku", false);
	if (plan_make(&p->plan, p->arena, &site))
		p->plan = (struct plan){0};
}

int certificate_place_open(struct certificate_place *p, struct admin_call *c)
{
	int exit = ADMIN_EXIT_OK;
	const char *file = file_of(c), *slash = strrchr(file, '/');
	*p = (struct certificate_place){.config = admin_config_load(c, &exit)};
	if (!p->config)
		return exit;
	snprintf(p->shelf, sizeof p->shelf, "%.*s%scertificates", slash ? (int)(slash - file) + 1 : 0, file, "");
	struct stat st;
	if (!plan_key_folder(p->keys, file) || stat(p->keys, &st) || !S_ISDIR(st.st_mode))
		memcpy(p->keys, p->shelf, sizeof p->keys);
	p->arena = arena_new(ARENA_MAX);
	make_plan(p, c);
	return ADMIN_EXIT_OK;
}

void certificate_place_clear(struct certificate_place *p)
{
	if (p->arena)
		arena_release(NULL, p->arena);
	config_free(p->config);
	*p = (struct certificate_place){0};
}

const struct plan_certificate *certificate_planned(const struct certificate_place *p, enum plan_slot s)
{
	enum plan_usage want = s == PLAN_SLOT_INTERNAL ? PLAN_INTERNAL : PLAN_EXTERNAL;
	for (size_t i = 0; i < p->plan.n_certificates; i++)
		if (p->plan.certificates[i].usage == want)
			return &p->plan.certificates[i];
	return NULL;
}

size_t certificate_usages(const struct admin_call *c, enum plan_slot ret[PLAN_SLOT_COUNT], bool def)
{
	json_t *list = admin_arg_list(c, "usage"), *one;
	size_t i, n = 0;
	json_array_foreach(list, i, one) {
		enum plan_slot s;
		bool known = !plan_slot_parse(&s, slice_str(json_string_value(one)));
		for (size_t k = 0; k < n; k++)
			known |= ret[k] == s;
		if (!known)
			ret[n++] = s;
	}
	if (!n && def)
		ret[n++] = PLAN_SLOT_SERVER;
	return n;
}

/* The folder, made when it is not there: for root and the daemon's group, like the one above it. */
int certificate_shelf_open(struct admin_call *c, const struct certificate_place *p)
{
	struct stat above;
	char up[CERTIFICATE_PATH_MAX + 4];
	if (mkdir(p->shelf, 0750) == 0) {
		snprintf(up, sizeof up, "%s/..", p->shelf);
		if (stat(up, &above) == 0 && lchown(p->shelf, (uid_t)-1, above.st_gid) != 0)
			admin_warn(c, "%s could not be given to the group of the folder above it", p->shelf);
	} else if (errno != EEXIST) {
		bool permission = errno == EACCES || errno == EPERM;
		return admin_fail(c, permission ? ADMIN_EXIT_PERMISSION : ADMIN_EXIT_CANNOT_CREATE, permission ? "permission" : "store", permission ? "run it as root" : NULL,
				  "%s cannot be made: %s", p->shelf, strerror(errno));
	}
	return ADMIN_EXIT_OK;
}

/* ---- facts */

json_t *certificate_time(int64_t t)
{
	char text[CLOCK_TEXT] = "";
	if (t)
		clock_text_at(t, text);
	return json_string(text);
}

json_t *certificate_ratio(int64_t not_before, int64_t not_after, int64_t now)
{
	return json_real((double)(int)(plan_remaining(not_before, not_after, now) * 1000) / 1000);
}

static void set_hex(json_t *o, const char *key, const void *p, size_t n)
{
	struct buf b;
	buf_init(&b, 128);
	hex_put(&b, p, n);
	admin_set_text(o, key, buf_slice(&b));
	buf_free(&b);
}

void certificate_facts(json_t *o, const struct tls_peer *f)
{
	json_t *names = json_array(), *purposes = json_array();
	int64_t now = clock_unix();
	admin_set_text(o, "subject", f->subject);
	admin_set_text(o, "issuer", f->issuer);
	admin_set_text(o, "serial", f->serial);
	for (size_t i = 0; i < f->n_dns; i++)
		json_array_append_new(names, admin_json_text(f->dns[i]));
	json_object_set_new(o, "names", names);
	json_object_set_new(o, "not_before", certificate_time(f->not_before));
	json_object_set_new(o, "not_after", certificate_time(f->not_after));
	json_object_set_new(o, "remaining", certificate_ratio(f->not_before, f->not_after, now));
	json_object_set_new(o, "state", json_string(plan_expiry_text(plan_expiry(f->not_before, f->not_after, now))));
	if (f->eku_server)
		json_array_append_new(purposes, json_string("serverAuth"));
	if (f->eku_client)
		json_array_append_new(purposes, json_string("clientAuth"));
	json_object_set_new(o, "purposes", purposes);
	set_hex(o, "sha256", f->sha256, sizeof f->sha256);
	set_hex(o, "pin", f->spki_sha256, sizeof f->spki_sha256);
}

void certificate_missing(json_t *o, const struct tls_peer *f, const struct plan_certificate *want)
{
	json_t *missing = json_array();
	for (size_t i = 0; want && i < want->n_names; i++)
		if (!plan_name_covered(f, want->names[i]))
			json_array_append_new(missing, admin_json_text(want->names[i]));
	json_object_set_new(o, "missing", missing);
}

void certificate_next(struct admin_call *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	json_t *list = json_object_get(c->data, "next");
	if (!list)
		json_object_set_new(c->data, "next", list = json_array());
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	json_array_append_new(list, admin_json_text(slice_str(text)));
}

int certificate_fail(struct admin_call *c, const struct entente_err *err)
{
	bool permission = err->code == ENTENTE_EIO && strstr(err->text, "as root");
	if (permission)
		return admin_fail(c, ADMIN_EXIT_PERMISSION, "permission", "the configuration and its keys belong to root", "%s", err->text);
	if (err->code == ENTENTE_ELIMIT || err->code == ENTENTE_ESYNTAX || err->code == ENTENTE_EAUTH)
		return admin_fail(c, ADMIN_EXIT_FINDING, "not-usable", err->code == ENTENTE_EAUTH ? "--password-file FILE gives it" : NULL, "%s", err->text);
	return admin_fail_err(c, "", err, NULL);
}

/* ---- request */

static bool add_name(struct slice *names, size_t *n, struct slice name)
{
	for (size_t i = 0; i < *n; i++)
		if (slice_ieq(names[i], name))
			return true;
	if (*n >= PLAN_REQUEST_NAMES)
		return false;
	names[(*n)++] = name;
	return true;
}

static void next_steps(struct admin_call *c, enum plan_slot s, const char *request, const char *key, bool default_key)
{
	certificate_next(c, "send %s to the certificate authority, or paste it into its form; the names in it are the ones that it has to certify", request);
	if (default_key)
		certificate_next(c, "entente certificate import REPLY --usage %s   (REPLY: what comes back, with its intermediate certificates)", plan_slot_name(s));
	else
		certificate_next(c, "entente certificate import REPLY --key %s --usage %s   (REPLY: what comes back, with its intermediate certificates)", key, plan_slot_name(s));
	certificate_next(c, "entente certificate show");
}

static int write_request(struct admin_call *c, const struct plan_request *r, enum plan_slot s, const char *key_path, const char *csr_path)
{
	bool force = admin_arg_bool(c, "force", false), same = r->old_key.len;
	struct entente_err err = {0};
	struct buf key, csr;
	buf_init(&key, PLAN_KEY_PEM_MAX);
	buf_init(&csr, 1 << 20);
	buf_reserve(&key, PLAN_KEY_PEM_MAX);
	int rc = plan_request_make(&key, &csr, r, &err), exit = ADMIN_EXIT_OK;
	bool made = false;
	if (!rc && !same && !(rc = plan_file_write(key_path, buf_slice(&key), force, &err)))
		made = true;
	if (!rc && (rc = plan_file_write(csr_path, buf_slice(&csr), true, &err)) && made && !force)
		unlink(key_path); /* all or nothing */
	if (rc == ENTENTE_EEXIST)
		exit = admin_fail(c, ADMIN_EXIT_FINDING, "exists", "import its certificate, or --force makes another key (the old one stays as .previous)",
				  "a key waits for its certificate already: %s", key_path);
	else if (rc == ENTENTE_EINVAL)
		exit = admin_fail_err(c, "", &err, "entente plan certificates");
	else if (rc)
		exit = certificate_fail(c, &err);
	if (!rc) {
		json_object_set_new(c->data, "usage", json_string(plan_slot_name(s)));
		admin_set_text(c->data, "request", buf_slice(&csr));
		admin_set_text(c->data, "key_file", slice_str(key_path));
		admin_set_text(c->data, "request_file", slice_str(csr_path));
	}
	buf_wipe(&key);
	buf_free(&csr);
	return exit;
}

static int request_run(struct admin_call *c)
{
	static struct slice names[PLAN_REQUEST_NAMES];
	struct certificate_place p;
	struct plan_request r = {.key = PLAN_KEY_RSA_2048, .names = names, .server = true, .client = admin_arg_bool(c, "client-eku", false)};
	enum plan_slot slot = PLAN_SLOT_SERVER;
	char key_path[CERTIFICATE_PATH_MAX], csr_path[CERTIFICATE_PATH_MAX], stem[32];
	struct slice key_arg = admin_arg_text(c, "key-file"), csr_arg = admin_arg_text(c, "request-file");
	struct entente_err err = {0};
	struct buf old;
	json_t *extra = admin_arg_list(c, "name"), *one;
	size_t i;
	int exit = certificate_place_open(&p, c);
	buf_init(&old, CERTIFICATE_FILE_MAX + 16384);
	if (exit)
		goto out;
	plan_slot_parse(&slot, admin_arg_text(c, "usage"));
	plan_key_parse(&r.key, admin_arg_text(c, "key"));
	const struct plan_certificate *want = certificate_planned(&p, slot);
	bool fit = true;
	for (i = 0; want && i < want->n_names; i++)
		fit &= add_name(names, &r.n_names, want->names[i]);
	if (!want && slot == PLAN_SLOT_INTERNAL)
		fit &= add_name(names, &r.n_names, slice_str(p.config->server_name));
	json_array_foreach(extra, i, one)
		fit &= add_name(names, &r.n_names, slice_str(json_string_value(one)));
	if (!r.n_names || !fit) {
		exit = r.n_names ? admin_fail(c, ADMIN_EXIT_FINDING, "limit", NULL, "more than %d names", PLAN_REQUEST_NAMES)
				 : admin_fail(c, ADMIN_EXIT_FINDING, "no-domains", "name them: --domain contoso.example --domain ...",
					      "the configuration names no domain of ours: an edge learns them from its gateway");
		goto out;
	}
	r.subject = names[0];
	r.client |= want && want->client_eku;
	struct plan_slot_files files = plan_slot_files(p.config, slot);
	snprintf(stem, sizeof stem, "%s-request", plan_slot_name(slot));
	bool same = admin_arg_bool(c, "same-key", false), fits = true;
	if (same) {
		fits = slice_cstr(slice_str(files.key), key_path, sizeof key_path);
		if (!*files.key)
			exit = admin_fail(c, ADMIN_EXIT_FINDING, "not-configured", "leave --same-key out", "%s is not set: there is no key yet", files.key_setting);
		else if (plan_file_read(&old, files.key, CERTIFICATE_FILE_MAX, &err))
			exit = certificate_fail(c, &err);
		r.old_key = buf_slice(&old);
	} else {
		fits = key_arg.p ? slice_cstr(key_arg, key_path, sizeof key_path) : certificate_path(key_path, p.keys, stem, ".key");
	}
	fits &= csr_arg.p ? slice_cstr(csr_arg, csr_path, sizeof csr_path) : certificate_path(csr_path, p.shelf, stem, ".csr");
	if (!exit && !fits)
		exit = admin_fail(c, ADMIN_EXIT_USAGE, "usage", NULL, "a path is longer than %d octets", CERTIFICATE_PATH_MAX - 1);
	if (!exit && !(key_arg.p && csr_arg.p))
		exit = certificate_shelf_open(c, &p);
	if (!exit)
		exit = write_request(c, &r, slot, key_path, csr_path);
	if (exit)
		goto out;
	json_t *list = json_array();
	for (i = 0; i < r.n_names; i++) {
		json_array_append_new(list, admin_json_text(r.names[i]));
		if (slice_starts(r.names[i], S("*.")))
			admin_warn(c, "%.*s is a wildcard: SIP partners (Lync, Skype for Business) refuse it", SFMT(r.names[i]));
	}
	json_object_set_new(c->data, "names", list);
	admin_set_text(c->data, "subject", r.subject.len <= 64 ? r.subject : S(""));
	json_object_set_new(c->data, "purposes", r.client ? json_pack("[ss]", "serverAuth", "clientAuth") : json_pack("[s]", "serverAuth"));
	json_object_set_new(c->data, "key", json_string(same ? "the one in use" : plan_key_name(r.key)));
	admin_set_text(c->data, "issuer", want ? want->issuer : S("an authority of your own"));
	next_steps(c, slot, csr_path, key_path, !key_arg.p || same);
out:
	buf_wipe(&old);
	certificate_place_clear(&p);
	return exit;
}

void certificate_print_next(struct admin_call *c)
{
	json_t *list = json_object_get(c->data, "next"), *one;
	size_t i;
	if (!json_array_size(list))
		return;
	buf_puts(&c->text, "\nNext\n");
	json_array_foreach(list, i, one) {
		buf_printf(&c->text, "  %zu. ", i + 1);
		admin_clean(&c->text, slice_str(json_string_value(one)));
		buf_putc(&c->text, '\n');
	}
}

void certificate_row(struct admin_call *c, const char *label, json_t *v)
{
	buf_printf(&c->text, "  %-11s ", label);
	admin_value_put(&c->text, v);
	buf_putc(&c->text, '\n');
}

static void request_print(struct admin_call *c)
{
	buf_printf(&c->text, "A request for the %s certificate\n", admin_get_text(c->data, "usage"));
	certificate_row(c, "subject", json_object_get(c->data, "subject"));
	certificate_row(c, "names", json_object_get(c->data, "names"));
	certificate_row(c, "purposes", json_object_get(c->data, "purposes"));
	certificate_row(c, "issuer", json_object_get(c->data, "issuer"));
	certificate_row(c, "key", json_object_get(c->data, "key"));
	certificate_row(c, "key file", json_object_get(c->data, "key_file"));
	certificate_row(c, "request", json_object_get(c->data, "request_file"));
	buf_putc(&c->text, '\n');
	buf_puts(&c->text, admin_get_text(c->data, "request"));
	certificate_print_next(c);
}

const struct admin_handler admin_certificate_request = {request_run, request_print};
