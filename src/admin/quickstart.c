/* SPDX-License-Identifier: Apache-2.0 */
/* `entente quickstart`: needs no daemon, and ends with one that runs. */
#include "admin/quickstart.h"

#include <errno.h>
#include <grp.h>
#include <time.h>
#include <unistd.h>
#include "admin/command_set.h"
#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"
#include "plan/certificates.h"
#include "plan/handout.h"
#include "plan/install.h"
#include "plan/request.h"
#include "plan/site.h"
#include "plan/trial.h"
#include "setup/ledger.h"

enum { ARENA_MAX = 16 << 20, TEXT_MAX = 4 << 20, START_MS = 60000, READY_MS = 30000, TRIAL_DAYS = 30 };
static const char trust_anchor[] = "/usr/share/dns/root.key";

void quick_warn(struct quick *q, const char *id, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	json_t *o = json_object();
	json_object_set_new(o, "id", json_sprintf("quickstart/%s", id));
	admin_set_text(o, "text", slice_str(text));
	json_array_append_new(q->warnings, o);
}

/* ---- before anything is written */

static int refuse_existing(struct quick *q)
{
	if (access(q->file, F_OK) == 0 || errno == EACCES)
		return admin_fail(q->call, errno == EACCES && access(q->file, F_OK) ? ADMIN_EXIT_PERMISSION : ADMIN_EXIT_CANNOT_CREATE, "exists",
				  "it is left alone. `entente config check` looks at it; to begin anew, move it away first", "there is a configuration already: %s", q->file);
	return ADMIN_EXIT_OK;
}

static void look_at_ports(struct quick *q, bool *ret_taken)
{
	const struct setup_answers *a = &q->answers;
	const struct {
		bool wanted;
		struct setup_port port;
		const char *what;
	} ports[] = {
		{true, {.address = a->inside.p, .port = a->inside_port, .udp = slice_eq(a->transport, S("udp"))}, "your SIP server"},
		{a->xmpp, {.address = "0.0.0.0", .port = 5269}, "XMPP partners"},
		{a->xmpp && a->ipv6, {.address = "::", .port = 5269}, "XMPP partners"},
		{a->federation != SETUP_CLOSED, {.address = "0.0.0.0", .port = 5061}, "SIP partners"},
		{a->federation != SETUP_CLOSED && a->ipv6, {.address = "::", .port = 5061}, "SIP partners"},
	};
	for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
		struct setup_port p = ports[i].port;
		if (!ports[i].wanted)
			continue;
		setup_port_look(&p);
		if (p.taken)
			quick_warn(q, "port-taken", "port %u of %s, for %s, is taken%s%s", p.port, p.address, ports[i].what, *p.holder ? " by " : "", p.holder);
		*ret_taken |= p.taken;
	}
}

static void findings(struct quick *q)
{
	switch (q->machine.clock) {
	case SETUP_CLOCK_FREE:
		quick_warn(q, "clock-free", "nothing keeps the clock of this machine right: certificates are judged by it; install chrony or systemd-timesyncd");
		break;
	case SETUP_CLOCK_WRONG:
		quick_warn(q, "clock-wrong", "the clock of this machine is behind this program: every certificate will look wrong; set it");
		break;
	default:
		break;
	}
	if (q->machine.dnssec == SETUP_DNSSEC_NONE)
		quick_warn(q, "dnssec-none", "the resolver of this machine hides DNSSEC signatures, so partners' TLSA records cannot be believed (DANE); a local unbound would pass them on");
	else if (q->machine.dnssec == SETUP_DNSSEC_UNKNOWN)
		quick_warn(q, "resolver-silent", "the resolver of /etc/resolv.conf does not answer for the root: partners are found by DNS");
	else if (access(trust_anchor, R_OK) < 0)
		quick_warn(q, "dnssec-anchor", "the resolver passes DNSSEC signatures, but %s is missing: apt install dns-root-data, then set dns.trust-anchor", trust_anchor);
	if (q->nat)
		quick_warn(q, "nat", "DNS, or --address, names an address that is not this machine's: something in between must translate it and pass the ports on, both ways");
	if (!q->n_dns)
		quick_warn(q, "name-unknown", "%.*s is not in DNS yet", SFMT(q->answers.name));
}

/* ---- the files */

static const char *path_of(struct quick *q, const char *folder, struct slice base, const char *ending)
{
	return arena_printf(q->arena, "%s/%.*s%s", folder, SFMT(base), ending).p;
}

static void name_files(struct quick *q)
{
	struct setup_answers *a = &q->answers;
	struct slice base = a->domains[0];
	q->written_handout = slice_str(path_of(q, q->folder, S("for-partners"), ".md"));
	if (a->source == SETUP_FILES)
		return;
	a->key = q->written_key = slice_str(path_of(q, q->key_folder, base, ".key"));
	a->certificate = q->written_certificate = slice_str(path_of(q, q->folder, base, ".pem"));
	if (a->source == SETUP_CSR)
		q->written_request = slice_str(path_of(q, q->folder, base, ".csr"));
}

static void draft(struct quick *q, struct buf *out)
{
	struct setup_answers *a = &q->answers;
	char at[CLOCK_TEXT];
	clock_text_at(clock_unix(), at);
	a->written = arena_printf(q->arena, "entente quickstart, %s", at);
	a->dnssec = q->machine.dnssec >= SETUP_DNSSEC_PASSES && access(trust_anchor, R_OK) == 0;
	a->trust_anchor = slice_str(trust_anchor);
	setup_draft(out, a);
}

/* The plan of the configuration that is about to be. It borrows from *ret_config. */
static int plan(struct quick *q, struct slice text, struct config **ret_config, struct plan_site *site, struct plan *ret)
{
	struct config_errors errs;
	if (config_parse(ret_config, text, false, &errs))
		return admin_fail(q->call, ADMIN_EXIT_CONFIG, "config", "please report this: the answers make no configuration", "line %u: %s", errs.list[0].line, errs.list[0].text);
	if (plan_site_config(site, q->arena, *ret_config))
		return admin_fail(q->call, ADMIN_EXIT_UNAVAILABLE, "limit", NULL, "too many domains");
	site->addresses = q->addresses;
	site->n_addresses = q->n_addresses;
	site->outside = SLICE_NONE; /* it listens on all: NAT is what the machine and DNS say */
	if (plan_make(ret, q->arena, site))
		return admin_fail(q->call, ADMIN_EXIT_UNAVAILABLE, "limit", NULL, "too many domains");
	return ADMIN_EXIT_OK;
}

/* A new file, noted in the data. */
static int put(struct quick *q, struct setup_ledger *l, struct slice path, struct slice text, mode_t mode, gid_t gid)
{
	struct entente_err err = {0};
	int r = setup_ledger_file(l, path.p, text, mode, gid, &err);
	if (!r) {
		json_array_append_new(q->written, admin_json_text(path));
		return ADMIN_EXIT_OK;
	}
	return admin_fail(q->call, r == ENTENTE_EEXIST ? ADMIN_EXIT_CANNOT_CREATE : geteuid() ? ADMIN_EXIT_PERMISSION : ADMIN_EXIT_CANNOT_CREATE,
			  r == ENTENTE_EEXIST ? "exists" : "permission", r == ENTENTE_EEXIST ? "it is left alone; move it away, or use it: --certificates files" : "run it as root",
			  "%s", err.text);
}

static int keys(struct quick *q, struct setup_ledger *l, const struct plan_certificate *want, gid_t gid)
{
	enum plan_key type = PLAN_KEY_RSA_2048;
	struct entente_err err = {0};
	struct buf key, csr, trial;
	if (!q->written_key.len)
		return ADMIN_EXIT_OK;
	plan_key_parse(&type, admin_arg_given(q->call, "key-type") ? admin_arg_text(q->call, "key-type") : S("rsa-2048"));
	buf_init(&key, PLAN_KEY_PEM_MAX);
	buf_init(&csr, 1 << 20);
	buf_init(&trial, 1 << 20);
	buf_reserve(&key, PLAN_KEY_PEM_MAX);
	struct plan_request request = {.key = type, .subject = want->subject, .names = want->names, .n_names = want->n_names, .server = true, .client = want->client_eku};
	int r = plan_request_make(&key, &csr, &request, &err);
	if (!r)
		r = plan_trial_make(&trial, buf_slice(&key), want->names, want->n_names, TRIAL_DAYS, &err);
	r = r ? admin_fail_err(q->call, "a key and a certificate cannot be made", &err, NULL) : put(q, l, q->written_key, buf_slice(&key), 0640, gid);
	if (!r)
		r = put(q, l, q->written_certificate, buf_slice(&trial), 0640, gid);
	if (!r && q->written_request.len)
		r = put(q, l, q->written_request, buf_slice(&csr), 0644, gid);
	buf_wipe(&key);
	buf_free(&csr);
	buf_free(&trial);
	return r;
}

/* As the daemon will see it: with the files that it names. */
static int check(struct quick *q, struct setup_ledger *l)
{
	struct config_errors errs = {0};
	struct config *c = NULL;
	config_read(&c, q->file, true, &errs);
	if (c)
		plan_certificates(c, &errs);
	config_free(c);
	for (size_t i = 0; i < errs.n; i++) {
		setup_ledger_note(l, "check: %s: %s", errs.list[i].warning ? "warning" : "error", errs.list[i].text);
		if (errs.list[i].warning && q->answers.source == SETUP_FILES)
			quick_warn(q, "certificate", "%s", errs.list[i].text);
		if (!errs.list[i].warning)
			return admin_fail(q->call, ADMIN_EXIT_CONFIG, "config", NULL, "%s", errs.list[i].text);
	}
	return ADMIN_EXIT_OK;
}

/* Whether the daemon's user may read the files that it needs. */
static int check_as_daemon(struct quick *q, struct setup_ledger *l)
{
	char self[4096];
	const char *const argv[] = {"runuser", "-u", "entente", "--", self, "config", "check", q->file, NULL};
	struct buf said;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n <= 0)
		return ADMIN_EXIT_OK;
	self[n] = 0;
	buf_init(&said, 65536);
	int exit = setup_ledger_run(l, argv, READY_MS, &said), r = ADMIN_EXIT_OK;
	bool ran = !slice_starts(buf_slice(&said), S("runuser:")); /* that user may not enter the folder of this program, as in a build */
	if (ran && exit == ADMIN_EXIT_FINDING)
		r = admin_fail(q->call, ADMIN_EXIT_PERMISSION, "permission", "the daemon runs as the user entente: chgrp entente FILE && chmod 0640 FILE", "%.*s",
			       SFMT(slice_trim(buf_slice(&said))));
	buf_free(&said);
	return r;
}

static int write_files(struct quick *q, struct setup_ledger *l, struct slice text, const struct plan_site *site, const struct plan *p)
{
	const struct group *group = getgrnam("entente");
	gid_t gid = !geteuid() && group ? group->gr_gid : (gid_t)-1;
	struct entente_err err = {0};
	struct buf page;
	int r;
	if (!geteuid() && !group)
		quick_warn(q, "no-group", "there is no group entente (the package makes it): let the daemon's user read %s", q->folder);
	if (setup_ledger_folder(l, q->folder, 0750, gid, &err))
		return admin_fail(q->call, geteuid() ? ADMIN_EXIT_PERMISSION : ADMIN_EXIT_CANNOT_CREATE, "permission", "run it as root", "%s", err.text);
	if (q->written_key.len && setup_ledger_folder(l, q->key_folder, 0750, gid, &err))
		return admin_fail(q->call, geteuid() ? ADMIN_EXIT_PERMISSION : ADMIN_EXIT_CANNOT_CREATE, "permission", "run it as root", "%s", err.text);
	r = keys(q, l, &p->certificates[0], gid);
	if (!r)
		r = put(q, l, slice_str(q->file), text, 0640, gid);
	if (!r)
		r = check(q, l);
	if (!r && gid != (gid_t)-1)
		r = check_as_daemon(q, l);
	if (r)
		return r;
	buf_init(&page, TEXT_MAX);
	plan_handout_print(&page, site, p, SLICE_NONE);
	r = put(q, l, q->written_handout, buf_slice(&page), 0644, gid);
	buf_free(&page);
	return r;
}

/* ---- the service and its policy */

struct deed {
	bool wanted;
	const char *path[ADMIN_PATH_MAX + 1];
	const char *undo[8]; /* argv */
	const char *args;    /* JSON */
	const char *shell;
};

static int policy(struct quick *q, struct setup_ledger *l, bool running)
{
	bool sip = q->answers.federation != SETUP_CLOSED, discover = q->answers.federation == SETUP_DISCOVERED;
	const struct deed deeds[] = {
		/* An installation lets no user out until its global external access policy says so. */
		{sip || q->answers.xmpp, {"external-access", "set"},
		 {"entente", "external-access", "set", "global", "--no-federation", "--no-xmpp", NULL},
		 q->answers.xmpp ? "{\"name\":\"global\",\"federation\":true,\"xmpp\":true}" : "{\"name\":\"global\",\"federation\":true}",
		 q->answers.xmpp ? "entente external-access set global --federation --xmpp" : "entente external-access set global --federation"},
		{sip, {"access-edge", "set"}, {"entente", "access-edge", "set", "--no-federated-users", "--no-partner-discovery", NULL},
		 discover ? "{\"federated-users\":true,\"partner-discovery\":true}" : "{\"federated-users\":true}",
		 discover ? "entente access-edge set --federated-users --partner-discovery" : "entente access-edge set --federated-users"},
	};
	for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
		struct buf why;
		if (!deeds[i].wanted)
			continue;
		json_array_append_new(q->commands, json_string(deeds[i].shell));
		if (!running)
			continue;
		buf_init(&why, 4096);
		setup_ledger_note(l, "$ %s", deeds[i].shell);
		json_t *answer = admin_ask(q->call, deeds[i].path, json_loads(deeds[i].args, 0, NULL), &why);
		json_t *error = json_object_get(answer, "error");
		int exit = answer ? (int)json_integer_value(json_object_get(answer, "exit")) : ADMIN_EXIT_UNREACHABLE;
		if (exit)
			exit = admin_fail(q->call, exit, "policy", NULL, "`%s` failed: %s", deeds[i].shell, answer ? admin_get_text(error, "text") : buf_slice(&why).p);
		json_decref(answer);
		buf_free(&why);
		if (exit)
			return exit;
		setup_ledger_undo_with(l, deeds[i].undo);
	}
	return ADMIN_EXIT_OK;
}

/* The unit is of type notify, so it is ready when systemctl returns; this makes sure that it is ours that answers. */
static bool answers(struct quick *q, struct buf *why)
{
	const char *const path[] = {"status", NULL};
	for (uint64_t end = clock_ms() + READY_MS; clock_ms() < end;) {
		buf_clear(why);
		json_t *answer = admin_ask(q->call, path, NULL, why);
		bool ours = slice_eq(slice_str(admin_get_text(json_object_get(answer, "data"), "server_name")), q->answers.name);
		if (answer && !ours)
			buf_puts(why, "another daemon answers on the control socket");
		json_decref(answer);
		if (ours)
			return true;
		nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
	}
	return false;
}

static int start(struct quick *q, struct setup_ledger *l)
{
	struct buf said;
	int r = ADMIN_EXIT_OK;
	buf_init(&said, 65536);
	setup_ledger_undo_with(l, (const char *const[]){"systemctl", "disable", "--now", "entented", NULL});
	if (setup_ledger_run(l, (const char *const[]){"systemctl", "enable", "--now", "entented", NULL}, START_MS, &said)) {
		setup_ledger_run(l, (const char *const[]){"journalctl", "--unit", "entented", "--lines", "20", "--no-pager", NULL}, READY_MS, NULL);
		r = admin_fail(q->call, ADMIN_EXIT_UNAVAILABLE, "start", "the log has the last lines of the journal", "the service does not start: %.*s",
			       SFMT(slice_trim(buf_slice(&said))));
	} else if (!answers(q, &said)) {
		r = admin_fail(q->call, ADMIN_EXIT_UNAVAILABLE, "start", "journalctl -u entented", "the service was started, but does not answer: %.*s",
			       SFMT(slice_trim(buf_slice(&said))));
	}
	buf_free(&said);
	return r;
}

/* ---- what is told */

static void facts(struct quick *q)
{
	static const char *const dnssec[] = {"unknown", "none", "passes", "validates"}, *const clock[] = {"unknown", "synchronised", "free", "wrong"};
	static const char *const federation[] = {"closed", "allow-list", "discovered"}, *const source[] = {"csr", "acme", "files"};
	const struct setup_answers *a = &q->answers;
	json_t *addresses = json_array(), *dns = json_array(), *domains = json_array(), *answers, *machine;
	for (size_t i = 0; i < q->machine.n_addresses; i++)
		json_array_append_new(addresses, json_string(q->machine.addresses[i].text));
	for (size_t i = 0; i < q->n_dns; i++)
		json_array_append_new(dns, json_string(q->dns[i].text));
	for (size_t i = 0; i < a->n_domains; i++)
		json_array_append_new(domains, admin_json_text(a->domains[i]));
	answers = json_pack("{s:o s:o s:o s:b s:s s:s}", "domains", domains, "next_hop", admin_json_text(a->next_hop), "name", admin_json_text(a->name), "xmpp", a->xmpp,
			    "federation", federation[a->federation], "certificates", source[a->source]);
	json_object_set_new(answers, "listen", json_sprintf(slice_find_chr(a->inside, ':') >= 0 ? "[%.*s]:%u" : "%.*s:%u", SFMT(a->inside), a->inside_port));
	machine = json_pack("{s:o s:o s:o s:b s:s s:s s:b}", "name", admin_json_text(slice_str(q->machine.name)), "addresses", addresses, "dns", dns, "nat", q->nat, "dnssec",
			    dnssec[q->machine.dnssec], "clock", clock[q->machine.clock], "systemd", q->machine.systemd);
	json_object_set_new(q->call->data, "answers", answers);
	json_object_set_new(q->call->data, "machine", machine);
}

static void next(struct quick *q, bool started, const struct plan_certificate *c)
{
	const struct setup_answers *a = &q->answers;
	json_t *list = q->next;
	if (!started) {
		json_array_append_new(list, json_sprintf(q->machine.systemd ? "start it: systemctl enable --now entented"
									    : "start it, as the user entente: entented --config %s", q->file));
		size_t i;
		json_t *one;
		json_array_foreach(q->commands, i, one)
			json_array_append_new(list, json_sprintf("then: %s", json_string_value(one)));
	}
	json_array_append_new(list, json_string("enter the DNS records, open the ports, let your SIP server send what is for other domains here"));
	if (a->source == SETUP_CSR)
		json_array_append_new(list, json_sprintf("give %s to your certificate authority; when the answer is there: entente certificate import FILE --usage server",
							 q->written_request.p));
	if (a->source == SETUP_ACME) {
		struct buf names;
		buf_init(&names, TEXT_MAX);
		for (size_t i = 0; i < c->n_names; i++)
			buf_printf(&names, " -d %.*s", SFMT(c->names[i]));
		json_array_append_new(list, json_sprintf("get the certificate: certbot certonly --standalone%.*s --deploy-hook /usr/lib/entente/acme-hook", SFMT(buf_slice(&names))));
		buf_free(&names);
	}
	if (a->xmpp)
		json_array_append_new(list, json_string("let a partner in: entente partner xmpp add DOMAIN --type federated"));
	if (a->federation != SETUP_CLOSED)
		json_array_append_new(list, json_string("let a SIP partner in: entente allowed-domain add DOMAIN"));
	json_array_append_new(list, json_sprintf("send %s to the partner's administrator", q->written_handout.p));
}

static void undo_words(struct quick *q, bool started)
{
	json_t *list = json_array(), *one;
	struct buf files;
	size_t i;
	if (started)
		json_array_append_new(list, json_string("systemctl disable --now entented"));
	buf_init(&files, TEXT_MAX);
	json_array_foreach(q->written, i, one)
		buf_printf(&files, " %s", json_string_value(one));
	json_array_append_new(list, json_sprintf("rm%.*s", SFMT(buf_slice(&files))));
	buf_free(&files);
	json_object_set_new(q->call->data, "undo", list);
}

/* ---- all of it */

static int carry_out(struct quick *q, struct slice text, const struct plan_site *site, const struct plan *p)
{
	struct entente_err err = {0};
	struct setup_ledger *l = setup_ledger_new(q->log, &err);
	bool starts = q->start && q->machine.systemd;
	int r;
	if (!l)
		return admin_fail(q->call, geteuid() ? ADMIN_EXIT_PERMISSION : ADMIN_EXIT_CANNOT_CREATE, "permission", "run it as root, or name another file: --log FILE", "%s", err.text);
	setup_ledger_note(l, "entente quickstart %s", ENTENTE_VERSION);
	char *told = json_dumps(json_object_get(q->call->data, "answers"), JSON_COMPACT), *seen = json_dumps(json_object_get(q->call->data, "machine"), JSON_COMPACT);
	setup_ledger_note(l, "answers %s", told);
	setup_ledger_note(l, "machine %s", seen);
	free(told);
	free(seen);
	json_object_set_new(q->call->data, "log", json_string(q->log));
	r = write_files(q, l, text, site, p);
	if (!r && starts)
		r = start(q, l);
	if (!r)
		r = policy(q, l, starts);
	if (r) {
		size_t left = setup_ledger_undo(l);
		setup_ledger_note(l, left ? "%zu things could not be taken back" : "everything was taken back", left);
		admin_warn(q->call, left ? "what was written could not be removed wholly: see %s" : "what was written was removed again; %s tells what happened", q->log);
	} else {
		setup_ledger_note(l, "done");
		json_object_set_new(q->call->data, "started", json_boolean(starts));
		next(q, starts, &p->certificates[0]);
		undo_words(q, starts);
	}
	setup_ledger_free(l);
	return r;
}

static bool go_ahead(struct quick *q)
{
	char line[64];
	if (!q->in)
		return true;
	fprintf(q->out, "\nWrite %s%s? [Y/n]: ", q->file, q->start && q->machine.systemd ? " and start the service" : "");
	fflush(q->out);
	return fgets(line, sizeof line, q->in) && (line[0] == '\n' || line[0] == 'y' || line[0] == 'Y');
}

static int decide(struct quick *q)
{
	struct plan_site site;
	struct config *c = NULL;
	struct plan p;
	struct buf text;
	bool taken = false, what_if = admin_arg_bool(q->call, "what-if", false);
	buf_init(&text, TEXT_MAX);
	name_files(q);
	draft(q, &text);
	int r = plan(q, buf_slice(&text), &c, &site, &p);
	if (!r) {
		findings(q);
		look_at_ports(q, &taken);
		facts(q);
		admin_plan_data(q->call->data, &p);
		json_t *warnings = json_object_get(q->call->data, "warnings");
		json_array_extend(warnings, q->warnings);
		admin_set_text(q->call->data, "configuration", buf_slice(&text));
		admin_set_text(q->call->data, "handout", q->written_handout);
		if (q->written_request.len)
			admin_set_text(q->call->data, "request", q->written_request);
		json_object_set_new(q->call->data, "done", json_boolean(!what_if));
		json_object_set_new(q->call->data, "started", json_false());
	}
	if (!r && taken && q->start && !what_if)
		r = admin_fail(q->call, ADMIN_EXIT_FINDING, "port-taken", "stop what has it, or choose another: --listen, --listen-port; --no-start writes the files all the same", "%s",
			       admin_get_text(json_array_get(q->warnings, json_array_size(q->warnings) - 1), "text"));
	if (!r && !what_if)
		r = go_ahead(q) ? carry_out(q, buf_slice(&text), &site, &p)
				: admin_fail(q->call, ADMIN_EXIT_FINDING, "declined", NULL, "nothing was changed");
	config_free(c);
	buf_free(&text);
	return r;
}

static void paths(struct quick *q)
{
	struct slice file = admin_arg_text(q->call, "file"), log = admin_arg_text(q->call, "log");
	char at[32];
	struct tm tm;
	time_t now = (time_t)clock_unix();
	char here[4096] = "";
	if (file.p && !slice_starts(file, S("/")) && getcwd(here, sizeof here)) /* the configuration names its files by absolute paths */
		file = arena_printf(q->arena, "%s/%.*s", strcmp(here, "/") == 0 ? "" : here, SFMT(file));
	q->file = arena_dup(q->arena, file.p ? file : S(CONFIG_FILE)).p;
	const char *slash = strrchr(q->file, '/');
	q->folder = slash == q->file ? "" : slash ? arena_dup(q->arena, slice_of(q->file, (size_t)(slash - q->file))).p : ".";
	char keys[PLAN_PATH_MAX];
	q->key_folder = plan_key_folder(keys, q->file) ? arena_dup(q->arena, slice_str(keys)).p : q->folder;
	const char *name = strrchr(q->key_folder, '/');
	snprintf(here, sizeof here, "%.*s", name > q->key_folder ? (int)(name - q->key_folder) : 1, q->key_folder);
	if (access(q->key_folder, F_OK) && access(here, W_OK) && access(q->folder, W_OK) == 0) { /* somebody's own folder, in a place that is not his */
		q->key_folder = q->folder;
		quick_warn(q, "key-folder", "%s cannot be made: the key is beside the certificate, where the server could open it, too", keys);
	}
	gmtime_r(&now, &tm);
	strftime(at, sizeof at, "%Y%m%d-%H%M%S", &tm);
	q->log = log.p ? arena_dup(q->arena, log).p
		       : arena_printf(q->arena, "%s/quickstart-%s.log", strcmp(q->file, CONFIG_FILE) == 0 ? "/var/log/entente" : q->folder, at).p;
}

static int run(struct admin_call *c)
{
	struct quick *q = MEM_NEW(struct quick);
	bool ask = !c->json && !admin_arg_bool(c, "yes", false) && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	q->call = c;
	q->arena = arena_new(ARENA_MAX);
	q->in = ask ? stdin : NULL;
	q->out = stderr;
	q->warnings = json_array();
	q->written = json_array();
	q->commands = json_array();
	q->next = json_array();
	paths(q);
	json_object_set_new(c->data, "file", json_string(q->file));
	json_object_set_new(c->data, "written", q->written);
	json_object_set_new(c->data, "commands", q->commands);
	json_object_set_new(c->data, "next", q->next);
	int r = refuse_existing(q);
	if (!r) {
		setup_machine_look(&q->machine);
		/* systemd runs the daemon with the file of its unit, no other */
		q->start = admin_arg_bool(c, "start", true) && strcmp(q->file, CONFIG_FILE) == 0;
		r = quick_answers(q);
	}
	if (!r)
		r = decide(q);
	json_decref(q->warnings);
	arena_release(NULL, q->arena);
	mem_free(q);
	return r;
}

const struct admin_handler admin_quickstart_handler = {run, admin_quickstart_print};
