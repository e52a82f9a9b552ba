/* SPDX-License-Identifier: Apache-2.0 */
/* Manual pages and the page of reasons, from the tables. Written in man(7). */
#include "admin/args.h"
#include "admin/call.h"
#include "config/config.h"

/* A hyphen must stay one that can be searched for and pasted; a line must not begin as a request. */
static void roff(struct buf *out, struct slice s)
{
	if (s.len && (s.p[0] == '.' || s.p[0] == '\''))
		buf_puts(out, "\\&");
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '-')
			buf_puts(out, "\\-");
		else if (s.p[i] == '\\')
			buf_puts(out, "\\e");
		else if (s.p[i] == '\n')
			buf_puts(out, "\n.br\n");
		else
			buf_putc(out, s.p[i]);
}

static void roffz(struct buf *out, const char *z)
{
	roff(out, slice_str(z));
}

static void head(struct buf *out, const char *name, int section, const char *what)
{
	buf_printf(out, ".\\\" Generated from the tables of the source; do not edit.\n.TH %s %d \"\" \"Entente %s\" \"Entente\"\n.SH NAME\n", name, section,
		   ENTENTE_VERSION);
	roffz(out, what);
	buf_putc(out, '\n');
}

/* Paragraphs; a word between backquotes becomes bold. */
static void prose(struct buf *out, const char *text)
{
	struct slice rest = slice_str(text);
	while (rest.len) {
		ptrdiff_t end = slice_find(rest, S("\n\n"));
		struct slice one = end < 0 ? rest : slice_first(rest, (size_t)end);
		rest = slice_skip(rest, one.len + 2);
		bool bold = false;
		while (one.p) {
			roff(out, slice_split(&one, '`'));
			if (one.p) {
				bold = !bold;
				buf_puts(out, bold ? "\\fB" : "\\fR");
			}
		}
		buf_puts(out, rest.len ? "\n.PP\n" : "\n");
	}
}

/* The option or argument with its text. */
static void arg_man(struct buf *out, const struct admin_arg *a)
{
	struct buf b;
	buf_init(&b, 8192);
	admin_arg_usage(&b, a);
	buf_puts(out, ".TP\n.B ");
	roff(out, buf_slice(&b));
	for (const struct admin_alias *al = a->aliases; al && al->word; al++) {
		buf_puts(out, "\\fR,\\fB \\-\\-");
		roffz(out, al->word);
	}
	buf_clear(&b);
	admin_arg_describe(&b, a);
	buf_putc(out, '\n');
	roff(out, buf_slice(&b));
	buf_puts(out, ".\n");
	for (const struct admin_alias *al = a->aliases; al && al->word; al++) {
		buf_puts(out, "\\fB\\-\\-");
		roffz(out, al->word);
		buf_puts(out, "\\fR: ");
		roffz(out, al->help);
		buf_puts(out, ".\n");
	}
	buf_free(&b);
}

static void command_man(struct buf *out, const struct admin_command *c)
{
	struct buf b;
	buf_init(&b, 8192);
	admin_synopsis(&b, c);
	buf_puts(out, ".SS ");
	roff(out, buf_slice(&b));
	buf_putc(out, '\n');
	buf_free(&b);
	char first[2] = {c->summary[0] >= 'a' && c->summary[0] <= 'z' ? (char)(c->summary[0] - 32) : c->summary[0], 0};
	roffz(out, first);
	roffz(out, c->summary + 1);
	buf_puts(out, c->help ? ".\n.PP\n" : ".\n");
	if (c->help)
		prose(out, c->help);
	for (size_t i = 0; i < c->n_args; i++)
		arg_man(out, &c->args[i]);
	if (c->example) {
		buf_puts(out, ".PP\nExample:\n.PP\n.RS\n.nf\n");
		for (struct slice rest = slice_str(c->example); rest.p;) {
			roff(out, slice_split(&rest, '\n'));
			buf_putc(out, '\n');
		}
		buf_puts(out, ".fi\n.RE\n");
	}
}

static void fields_man(struct buf *out)
{
	buf_puts(out, ".SH JSON\n");
	prose(out, "With `--json` each command prints one JSON object on standard output. Members keep their names and meaning; new ones may be "
		   "added. When a command cannot be carried out, the object is {\"error\": {\"code\", \"text\", \"hint\"}}. Warnings go to standard error.\n\n"
		   "The same objects are the \"data\" of the control socket: one JSON request per line, {\"command\": [WORD...], \"args\": "
		   "{NAME: VALUE}, \"json\": true}, is answered by one line {\"exit\": CODE, \"data\": OBJECT}.");
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		buf_puts(out, ".SS ");
		admin_path_print(out, c->path);
		buf_putc(out, '\n');
		for (size_t k = 0; k < c->n_fields; k++) {
			buf_puts(out, ".TP\n.B ");
			roffz(out, c->fields[k].name);
			buf_putc(out, '\n');
			struct slice rest = slice_str(c->fields[k].help);
			while (rest.p) {
				roff(out, slice_split(&rest, '|'));
				buf_puts(out, rest.p ? ", " : "\n");
			}
		}
	}
}

void admin_man_entente(struct buf *out)
{
	head(out, "ENTENTE", 1, "entente - administration of the federation server Entente");
	buf_puts(out, ".SH SYNOPSIS\n.B entente\n.I COMMAND\n[\\fIOPTION\\fR...]\n.SH DESCRIPTION\n");
	prose(out, "entente speaks with the daemon entented(8) over its control socket: it says who may communicate with the users of the organisation, "
		   "shows what goes on, and explains why something was or would be refused. Some commands (`config`, `reason`, `version`, `help`) need "
		   "no daemon.\n\n"
		   "Whoever may write to the control socket may administer: root, and the members of the group entente. Each change is kept with the name "
		   "of its author (`entente history`).");
	buf_puts(out, ".SH OPTIONS\nOptions may stand anywhere. Every command takes these:\n");
	for (size_t i = 0; i < admin_global_count(); i++)
		arg_man(out, admin_global(i));
	buf_puts(out, ".SH COMMANDS\n");
	for (size_t i = 0; i < admin_command_count(); i++)
		command_man(out, admin_command(i));
	buf_puts(out, ".SH EXIT STATUS\n");
	for (size_t i = 0; i < admin_exit_count(); i++) {
		buf_printf(out, ".TP\n.B %d\n", admin_exit_info(i).code);
		roffz(out, admin_exit_info(i).help);
		buf_puts(out, ".\n");
	}
	fields_man(out);
	buf_puts(out, ".SH ENVIRONMENT\n.TP\n.B ENTENTE_SOCKET\nThe control socket, when\n.B \\-\\-socket\nis not given.\n.TP\n.B NO_COLOR\n"
		      "When set, no colours. Colours are used on a terminal only.\n"
		      ".SH FILES\n.TP\n.I /run/entente/control.sock\nThe control socket.\n.TP\n.I /etc/entente/entente.yaml\nThe configuration.\n"
		      ".SH SEE ALSO\n.BR entented (8),\n.BR entente.conf (5),\n.BR entente\\-reasons (7)\n");
}

void admin_man_conf(struct buf *out)
{
	head(out, "ENTENTE.CONF", 5, "entente.conf - configuration of the federation server Entente");
	buf_puts(out, ".SH SYNOPSIS\n.I /etc/entente/entente.yaml\n.SH DESCRIPTION\n");
	prose(out, "The file is YAML, at most 1 MiB. Sections and settings have the names below, written with a dot between: limits.max-stanza is the "
		   "setting max-stanza in the section limits. Every setting has a type; an unknown setting is an error. The partners are not in this "
		   "file: `entente partner xmpp` keeps them in the database.\n\n"
		   "`entente config check` checks a file, `entente config explain` tells of one setting what follows here, `entente config example` prints "
		   "a file to start from, `entente config effective` all settings with the defaults filled in.\n\n"
		   "Sizes are octets, or have one of the units KiB, MiB, GiB. Durations have one of the units ms, s, m, h, d.\n\n"
		   "After a change, `systemctl reload entented` or `entente reload` puts in force what takes effect on reload, all or nothing.");
	config_man(out);
	buf_puts(out, ".SH EXAMPLE\n.nf\n");
	static const char example[] = "server:\n  name: gw.contoso.example\ntls:\n  certificate: /etc/entente/gw.pem\n  key: /etc/entente-keys/gw.key\n"
				      "sip:\n  listen:\n    - {address: 192.0.2.10, port: 5060, transport: tcp}\n"
				      "xmpp:\n  listen:\n    - {address: 192.0.2.10}\n"
				      "homes:\n  - name: main\n    domains: [contoso.example]\n    next-hop: \"sip:10.0.0.5:5060;transport=tcp\"\n";
	for (struct slice rest = slice_str(example); rest.len;) {
		roff(out, slice_split(&rest, '\n'));
		buf_putc(out, '\n');
	}
	buf_puts(out, ".fi\n.SH SEE ALSO\n.BR entented (8),\n.BR entente (1)\n");
}

static void remedy_text(struct buf *b, enum reason r)
{
	buf_clear(b);
	admin_remedy_print(b, r, NULL);
}

void admin_man_reasons(struct buf *out)
{
	struct buf b;
	buf_init(&b, 8192);
	head(out, "ENTENTE\\-REASONS", 7, "entente-reasons - why Entente refuses, and what to do");
	buf_puts(out, ".SH DESCRIPTION\n");
	prose(out, "Every refusal has a reason ID. It is the same in the log (reason=), in the SIP header Entente-Reason, in the text of an XMPP error, in "
		   "metrics, in `entente explain` and here. The IDs do not change.");
	buf_puts(out, ".SH REASONS\n");
	for (int i = 1; i < REASON_COUNT; i++) {
		const struct reason_info *r = reason_info((enum reason)i);
		buf_puts(out, ".SS ");
		roffz(out, r->id);
		buf_printf(out, "\n");
		roffz(out, r->text);
		buf_puts(out, ".\n.br\nFixed by: ");
		roffz(out, admin_who_text(r->who, ADMIN_ENGLISH));
		buf_printf(out, ".\n.br\nSIP status %d; XMPP condition ", r->sip_status);
		roffz(out, r->xmpp_condition);
		buf_printf(out, ", type %s.\n.br\n", r->xmpp_type);
		buf_puts(out, "Usual causes: ");
		roffz(out, admin_reason_cause((enum reason)i, ADMIN_ENGLISH));
		buf_puts(out, ".\n.br\n");
		remedy_text(&b, (enum reason)i);
		buf_puts(out, "Next step: ");
		struct slice rest = buf_slice(&b);
		for (bool bold = false; rest.p; bold = !bold) {
			buf_puts(out, bold ? "\\fB" : "");
			roff(out, slice_split(&rest, '`'));
			buf_puts(out, bold ? "\\fR" : "");
		}
		buf_puts(out, ".\n");
	}
	buf_puts(out, ".SH SEE ALSO\n.BR entente (1),\n.BR entented (8)\n");
	buf_free(&b);
}

void admin_markdown_reasons(struct buf *out)
{
	struct buf b;
	buf_init(&b, 8192);
	buf_puts(out, "# Reasons\n\n<!-- Generated from src/base/reason.def and src/admin/remedy.c by entente-docgen reasons.md; do not edit. -->\n\n"
		      "Every refusal has a reason ID. It is the same in the log (`reason=`), in the SIP header `Entente-Reason`, in the text of an XMPP\n"
		      "error, in metrics, in `entente explain` and in `entente reason`. The IDs do not change.\n");
	struct slice room = SLICE_NONE;
	for (int i = 1; i < REASON_COUNT; i++) {
		const struct reason_info *r = reason_info((enum reason)i);
		struct slice rest = slice_str(r->id), first = slice_split(&rest, '/');
		if (!slice_eq(first, room)) {
			buf_printf(out, "\n## %.*s\n\n| reason | meaning | usual causes | fixed by | next step | SIP | XMPP |\n|---|---|---|---|---|---|---|\n", SFMT(first));
			room = first;
		}
		remedy_text(&b, (enum reason)i);
		buf_printf(out, "| `%s` | %s | %s | %s | %.*s | %d | %s |\n", r->id, r->text, admin_reason_cause((enum reason)i, ADMIN_ENGLISH), admin_who_text(r->who, ADMIN_ENGLISH), SFMT(buf_slice(&b)), r->sip_status,
			   r->xmpp_condition);
	}
	buf_free(&b);
}
