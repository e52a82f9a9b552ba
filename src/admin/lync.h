/* SPDX-License-Identifier: Apache-2.0 */
/* The one table between Lync Server's management shell and the commands here: cmdlets, their parameters, and what each is here. From it
 * derive `entente import lync`, the cmdlet names that the command line takes, their help, completion, and docs/cmdlets.md. Pure; any
 * thread. */
#pragma once
#include <jansson.h>
#include "admin/command.h"

enum lync_object {
	LYNC_XMPP_PARTNER, LYNC_ALLOWED, LYNC_BLOCKED, LYNC_HOSTING, LYNC_PUBLIC, LYNC_ACCESS, LYNC_GATEWAY, LYNC_EXTERNAL, LYNC_USER,
	LYNC_OBJECT_COUNT
};
enum { LYNC_NEW = 1, LYNC_SET = 2, LYNC_GET = 4, LYNC_REMOVE = 8, LYNC_ENABLE = 16, LYNC_DISABLE = 32, LYNC_GRANT = 64 };

enum lync_form {
	LYNC_KEY,          /* which object: the command's positional argument */
	LYNC_BOOL, LYNC_UINT, LYNC_TEXT, LYNC_FQDN,
	LYNC_DOMAINS,      /* a list; @{Add=...}, @{Remove=...}, @{Replace=...}, $null */
	LYNC_TYPE, LYNC_NEGOTIATION, LYNC_VERIFICATION, /* enumerations */
	LYNC_POLICY_NAME,  /* of Grant */
	LYNC_SWITCH,       /* -WhatIf; --option of ours */
	LYNC_SETTING, LYNC_SECONDS, /* in the configuration file: option is the key */
	LYNC_NONE,         /* nothing here: the note says why */
	LYNC_IGNORED,      /* nothing to be said about */
	LYNC_UNSUPPORTED,  /* cannot be done: the note says what can */
};

struct lync_parameter {
	const char *name;      /* as Lync spells it */
	enum lync_form form;
	const char *option;    /* of our command; NULL: none */
	unsigned verbs;        /* that take it */
	const char *def;       /* Lync's default, in words; "": none */
	const char *note;
};
struct lync_kind {
	const char *noun;      /* "XmppAllowedPartner"; also the last part of the .NET type */
	const char *type;      /* another type name, or NULL */
	const char *tell_tale; /* a property that only this kind has, where an export does not say the type; NULL: none */
	const char *key;       /* the argument that names the object, of all its commands; NULL: there is only one */
	unsigned verbs;
	const char *head;      /* words before the verb of our commands */
	const struct lync_parameter *parameters;
	size_t n_parameters;
};
const struct lync_kind *lync_kind(enum lync_object o);
/* Those that every cmdlet takes. */
const struct lync_parameter *lync_common(size_t *ret_n);
const char *lync_verb_name(unsigned verb); /* "New" */
/* The command of a cmdlet; `named`: an object is named (Get: show or list). NULL: there is none, *ret_why tells (static). */
const struct admin_command *lync_command(enum lync_object o, unsigned verb, bool named, const char **ret_why);
/* Our word for a word of Lync's enumerations; NULL: none. */
const char *lync_word(enum lync_form form, struct slice lync);
/* Lync's words of an enumeration, with commas. */
const char *lync_words_of(enum lync_form form);

/* ---- exported objects (admin/lync_file.h) to commands ---- */
/* Appends, all borrowed or copied:
 *   commands  {"command": [words], "args": {...}, "object": kind, "name": identity}: requests of admin_execute, in an order in which they can be carried out
 *   settings  {"key", "value", "from"} of the configuration file
 *   findings  {"severity": "error" (not translated) "warning" (no equivalent) "note", "object", "name", "property", "text"} */
void lync_translate(json_t *objects, json_t *commands, json_t *settings, json_t *findings);
/* A command for a POSIX shell: "entente partner xmpp add 'x y' --type federated". */
void admin_command_text(struct buf *out, const struct admin_command *c, json_t *args);

/* ---- cmdlets on the command line ---- */
/* Is the first word a cmdlet's name ("New-CsXmppAllowedPartner", any case)? Words like that which are none: *ret_nearest may be set. */
bool lync_is_cmdlet(struct slice word);
/* argv[0] is the cmdlet. As admin_line_parse: ret->command and ret->args are set (to be checked by the caller), or ADMIN_HELP, or ADMIN_BAD with
 * `why`. */
enum admin_parsed lync_cmdlet_parse(struct admin_line *ret, int argc, const char *const argv[], struct buf *why);
/* Its parameters, and what they are here. False: there is no such cmdlet. */
bool lync_cmdlet_help(struct buf *out, struct slice cmdlet);
size_t lync_cmdlet_count(void);
/* "New-CsXmppAllowedPartner"; the buffer is the caller's. */
void lync_cmdlet_name(size_t index, char *ret, size_t size);
