/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of commands. From it derive: what the program `entente` accepts, what the daemon accepts, help at every level, the
 * manual entente(1), shell completion. Nothing here needs a daemon; pure functions but for the local commands, which read
 * files. Any thread. */
#pragma once
#include <jansson.h>
#include "base/buf.h"
#include "base/slice.h"

/* Exit codes of `entente`, and "exit" of a response. */
enum admin_exit {
	ADMIN_EXIT_OK = 0,
	ADMIN_EXIT_FINDING = 1,     /* understood, but the answer is no: refused, not found, a check found something */
	ADMIN_EXIT_USAGE = 2,       /* the command itself is wrong */
	ADMIN_EXIT_UNREACHABLE = 3, /* no daemon answers on the socket */
	ADMIN_EXIT_REFUSED = 4,     /* the change contradicts the policy in force */
	ADMIN_EXIT_UNAVAILABLE = 69, /* the daemon cannot do it now */
	ADMIN_EXIT_CANNOT_CREATE = 73, /* the database or a file cannot be written */
	ADMIN_EXIT_PERMISSION = 77,
	ADMIN_EXIT_CONFIG = 78,     /* the configuration is wrong */
};
struct admin_exit_info {
	int code;
	const char *help;
};
size_t admin_exit_count(void);
struct admin_exit_info admin_exit_info(size_t index);

enum admin_type {
	ADMIN_TEXT,    /* one line of UTF-8, no control characters */
	ADMIN_DOMAIN,  /* U-labels are converted: in checked arguments always lower-case A-labels */
	ADMIN_DOMAINS_BELOW, /* a domain, or "*." before one: all below it */
	ADMIN_PARTNER, /* a domain that should be a partner's (for completion) */
	ADMIN_SERVER,  /* host or host:port or [address]:port */
	ADMIN_ADDRESS, /* sip:, xmpp: or bare address; the daemon looks closer */
	ADMIN_ENUM,
	ADMIN_BOOL,    /* in JSON true or false; as option without a value: true */
	ADMIN_UINT,
	ADMIN_PATH,    /* a file; only in local commands */
	ADMIN_REASON,  /* a reason ID */
	ADMIN_KEY,     /* of the configuration */
	ADMIN_WORDS,   /* what is left of the command line */
	ADMIN_PIN,     /* of a public key, policy/pin.h; in checked arguments always hex */
	ADMIN_PASSWORD, /* never a word of the command line: asked for, or from the file of --NAME-file; in checked arguments its hash (password.h) */
	ADMIN_DURATION, /* 30s, 10m, 2h, or seconds; in JSON seconds, at most `max`, at least 1 */
	ADMIN_FILE,    /* on the command line the name of a file, or - for standard input; in JSON what it contains: text, at most `max` octets */
	ADMIN_TYPE_COUNT
};
enum { ADMIN_POSITIONAL = 1, ADMIN_REQUIRED = 2, ADMIN_MANY = 4 /* may be repeated; in JSON an array */ };

/* Another spelling: --word means --name value. Lists end with word == NULL. */
struct admin_alias {
	const char *word, *value, *help;
};

struct admin_arg {
	const char *name;         /* of the option, and of the member of "args" */
	enum admin_type type;
	unsigned flags;
	const char *values;       /* ENUM: separated by | */
	const char *also;         /* ENUM: other names of values, OTHER=VALUE separated by |; in checked arguments always the value */
	uint64_t max;             /* UINT, DURATION: largest value; TEXT: octets */
	const char *def;          /* what holds when it is not given, for people; NULL: nothing does */
	const char *help;         /* one line, no final stop */
	const struct admin_alias *aliases;
	unsigned roles;           /* ADMIN_MAY_...: who else than admins may give it; 0: whoever may run the command */
};

/* A member of the data that --json prints. Names are stable. */
struct admin_field {
	const char *name; /* "partners[].domain" */
	const char *help;
};

/* By noun, as the files commands_<noun>.c. */
enum admin_id {
	/* core */
	ADMIN_CMD_STATUS, ADMIN_CMD_EXPLAIN, ADMIN_CMD_REASON, ADMIN_CMD_HISTORY, ADMIN_CMD_VERSION, ADMIN_CMD_HELP,
	/* partner */
	ADMIN_CMD_PARTNER_ADD, ADMIN_CMD_PARTNER_SET, ADMIN_CMD_PARTNER_SHOW, ADMIN_CMD_PARTNER_LIST, ADMIN_CMD_PARTNER_REMOVE,
	ADMIN_CMD_PARTNER_TEST,
	/* federation */
	ADMIN_CMD_ACCESS_SHOW, ADMIN_CMD_ACCESS_SET, ADMIN_CMD_ALLOWED_ADD, ADMIN_CMD_ALLOWED_SET, ADMIN_CMD_ALLOWED_REMOVE,
	ADMIN_CMD_ALLOWED_LIST, ADMIN_CMD_BLOCKED_ADD, ADMIN_CMD_BLOCKED_REMOVE, ADMIN_CMD_BLOCKED_LIST, ADMIN_CMD_HOSTING_ADD,
	ADMIN_CMD_HOSTING_SET, ADMIN_CMD_HOSTING_ENABLE, ADMIN_CMD_HOSTING_DISABLE, ADMIN_CMD_HOSTING_REMOVE,
	ADMIN_CMD_HOSTING_LIST, ADMIN_CMD_PUBLIC_ADD, ADMIN_CMD_PUBLIC_SET, ADMIN_CMD_PUBLIC_ENABLE, ADMIN_CMD_PUBLIC_DISABLE,
	ADMIN_CMD_PUBLIC_REMOVE, ADMIN_CMD_PUBLIC_LIST,
	/* show */
	ADMIN_CMD_SHOW_SIP_CONNECTIONS, ADMIN_CMD_SHOW_SIP_TRANSACTIONS, ADMIN_CMD_SHOW_SIP_DIALOGS, ADMIN_CMD_SHOW_WATCH_LIST,
	ADMIN_CMD_SHOW_SIP_CERTIFICATES, ADMIN_CMD_SHOW_REVOCATION_LISTS, ADMIN_CMD_SHOW_STREAMS, ADMIN_CMD_SHOW_SUBSCRIPTIONS,
	ADMIN_CMD_SHOW_CONVERSATIONS, ADMIN_CMD_SHOW_HOMES, ADMIN_CMD_SHOW_LINKS, ADMIN_CMD_SHOW_STREAM, ADMIN_CMD_SHOW_ATTEMPTS,
	ADMIN_CMD_SHOW_METRICS, ADMIN_CMD_TRACE,
	/* plan */
	ADMIN_CMD_PLAN_CERTIFICATES, ADMIN_CMD_PLAN_DNS, ADMIN_CMD_PLAN_PORTS, ADMIN_CMD_PLAN_HANDOUT, ADMIN_CMD_PLAN_ALL,
	ADMIN_CMD_IMPORT_LYNC,
	/* config */
	ADMIN_CMD_CONFIG_CHECK, ADMIN_CMD_CONFIG_EXPLAIN, ADMIN_CMD_CONFIG_EXAMPLE, ADMIN_CMD_CONFIG_EFFECTIVE, ADMIN_CMD_RELOAD,
	/* external access */
	ADMIN_CMD_EXTERNAL_LIST, ADMIN_CMD_EXTERNAL_SHOW, ADMIN_CMD_EXTERNAL_ADD, ADMIN_CMD_EXTERNAL_SET, ADMIN_CMD_EXTERNAL_REMOVE,
	ADMIN_CMD_EXTERNAL_GRANT, ADMIN_CMD_USER_LIST, ADMIN_CMD_USER_SHOW, ADMIN_CMD_USER_ADD, ADMIN_CMD_USER_SET, ADMIN_CMD_USER_REMOVE,
	ADMIN_CMD_CONTACT_LIST, ADMIN_CMD_CONTACT_ADD, ADMIN_CMD_CONTACT_REMOVE,
	/* changes */
	ADMIN_CMD_POLICY_EXPORT, ADMIN_CMD_POLICY_IMPORT, ADMIN_CMD_POLICY_TEST, ADMIN_CMD_BACKUP, ADMIN_CMD_CONFIG_BEGIN, ADMIN_CMD_CONFIG_SET,
	ADMIN_CMD_CONFIG_DIFF, ADMIN_CMD_CONFIG_COMMIT, ADMIN_CMD_CONFIG_ABORT, ADMIN_CMD_CONFIG_ROLLBACK, ADMIN_CMD_CONFIG_HISTORY,
	ADMIN_CMD_CONFIG_APPLY,
	/* api */
	ADMIN_CMD_ACCOUNT_ADD, ADMIN_CMD_ACCOUNT_SET, ADMIN_CMD_ACCOUNT_PASSWORD, ADMIN_CMD_ACCOUNT_REMOVE, ADMIN_CMD_ACCOUNT_LIST,
	ADMIN_CMD_TOKEN_ADD, ADMIN_CMD_TOKEN_REMOVE, ADMIN_CMD_TOKEN_LIST, ADMIN_CMD_API_OPENAPI,
	/* check */
	ADMIN_CMD_CHECK_CONFIG, ADMIN_CMD_CHECK_DNS, ADMIN_CMD_CHECK_CERTS, ADMIN_CMD_CHECK_PORTS, ADMIN_CMD_CHECK_PARTNERS, ADMIN_CMD_CHECK_POOL,
	ADMIN_CMD_CHECK_TIME, ADMIN_CMD_CHECK_DISK, ADMIN_CMD_CHECK_SYSTEM, ADMIN_CMD_CHECK_ALL,
	/* certificate */
	ADMIN_CMD_CERTIFICATE_REQUEST, ADMIN_CMD_CERTIFICATE_IMPORT, ADMIN_CMD_CERTIFICATE_ASSIGN, ADMIN_CMD_CERTIFICATE_SHOW, ADMIN_CMD_CERTIFICATE_LIST,
	/* audit */
	ADMIN_CMD_AUDIT_LIST, ADMIN_CMD_AUDIT_VERIFY,
	/* quickstart */
	ADMIN_CMD_QUICKSTART,
	/* observe */
	ADMIN_CMD_SHOW_PROBES, ADMIN_CMD_TOP, ADMIN_CMD_TEST_IM,
	/* messages */
	ADMIN_CMD_SHOW_MESSAGES, ADMIN_CMD_WHY,
	/* queue */
	ADMIN_CMD_QUEUE_LIST, ADMIN_CMD_QUEUE_SHOW, ADMIN_CMD_QUEUE_HOLD, ADMIN_CMD_QUEUE_RELEASE, ADMIN_CMD_QUEUE_RETRY, ADMIN_CMD_QUEUE_EXPIRE,
	ADMIN_CMD_QUEUE_QUARANTINE, ADMIN_CMD_QUEUE_PAUSE, ADMIN_CMD_QUEUE_RESUME,
	ADMIN_CMD_COUNT
};

enum { ADMIN_PATH_MAX = 3 };

/* Who may carry it out, by role. The role admin may everything, whatever the row says. */
enum {
	ADMIN_ROLE_VIEWER = 1,     /* state and metrics */
	ADMIN_ROLE_HELPDESK = 2,   /* tests, and what passes without its bodies */
	ADMIN_ROLE_AUDITOR = 4,    /* what was changed and what was decided */
	ADMIN_ROLE_OPERATOR = 8,   /* the service: reload, certificates, tests */
	ADMIN_ROLE_POLICY = 16,    /* who may communicate with whom */
	ADMIN_ROLE_ADMIN = 32,
	/* for the rows */
	ADMIN_MAY_SEE = ADMIN_ROLE_VIEWER | ADMIN_ROLE_HELPDESK | ADMIN_ROLE_AUDITOR | ADMIN_ROLE_OPERATOR | ADMIN_ROLE_POLICY,
	ADMIN_MAY_TEST = ADMIN_ROLE_HELPDESK | ADMIN_ROLE_OPERATOR,
	ADMIN_MAY_AUDIT = ADMIN_ROLE_AUDITOR,
	ADMIN_MAY_OPERATE = ADMIN_ROLE_OPERATOR,
	ADMIN_MAY_SET = ADMIN_ROLE_POLICY,
	ADMIN_MAY_ADMINISTER = ADMIN_ROLE_ADMIN, /* nobody else */
};

/* The gateway has the store and the users, the edge has the streams. */
enum admin_where { ADMIN_AT_GATEWAY, ADMIN_AT_EDGE, ADMIN_AT_BOTH };

struct admin_command {
	enum admin_id id;
	bool local;               /* done by the program itself, without a daemon */
	bool anywhere;            /* local, and reads nothing but the tables: the daemon answers it too, to everybody */
	/* Changes something that lasts. Where `roles` has ADMIN_ROLE_POLICY that is policy: the change waits in the administrator's draft, if he has
	 * one, unless `direct` says that it concerns drafts themselves. The handler need not know: it is given the draft's store and
	 * snapshot (admin/draft.h). */
	bool changes;
	bool direct;
	bool live;                /* takes time: tells what happens before its end (admin/admin.h) */
	bool lines;               /* live: with --json each event is printed too, one object a line */
	unsigned roles;           /* ADMIN_MAY_..., of a command of the daemon; 0: local */
	enum admin_where where;   /* which half carries it out when edge and gateway are two processes */
	const char *path[ADMIN_PATH_MAX + 1]; /* words, ends with NULL */
	const char *summary;      /* one line, no final stop */
	const char *help;         /* paragraphs separated by an empty line; NULL: the summary says all */
	const char *example;      /* command lines, separated by newlines; NULL: none */
	const struct admin_arg *args;
	size_t n_args;
	const struct admin_field *fields;
	size_t n_fields;
};
/* Words that only head commands: "partner", "partner xmpp". */
struct admin_group {
	const char *path[ADMIN_PATH_MAX + 1];
	const char *summary;
};

size_t admin_command_count(void);
const struct admin_command *admin_command(size_t index); /* in the order of the documentation */
const struct admin_command *admin_command_by_id(enum admin_id id);
size_t admin_group_count(void);
const struct admin_group *admin_group(size_t index);
/* Options that every command takes. */
size_t admin_global_count(void);
const struct admin_arg *admin_global(size_t index);

/* "DOMAIN", "N": how help names a value; the values themselves for a short enum. */
const char *admin_type_placeholder(enum admin_type t);
/* The words joined by spaces. */
void admin_path_print(struct buf *out, const char *const path[]);
/* "partner xmpp add DOMAIN --type TYPE [--tls ...]" */
void admin_synopsis(struct buf *out, const struct admin_command *c);

/* Checks "args" of a request against the table, whoever sent them: unknown names, types, ranges, required ones; converts domains in
 * place. False: `why` (appended, one line) tells what is wrong and what would be right. */
bool admin_args_check(const struct admin_command *c, json_t *args, struct buf *why);
/* The command of the words; NULL: `why` is told, with the nearest. */
const struct admin_command *admin_command_find(const struct slice *words, size_t n, struct buf *why);

/* ---- the command line ---- */
/* INCOMPLETE: only the first words of commands, or none. */
enum admin_parsed { ADMIN_RUN, ADMIN_HELP, ADMIN_VERSION, ADMIN_INCOMPLETE, ADMIN_BAD };
struct admin_line {
	const struct admin_command *command; /* ADMIN_RUN: set */
	const char *words[ADMIN_PATH_MAX + 1]; /* what was recognised of the path, for ADMIN_HELP; ends with NULL */
	json_t *args;                        /* owned; checked */
	bool json;
	const char *socket;                  /* --socket, borrowed from argv; NULL */
	const char *password_file;           /* --password-file, likewise */
	int64_t if_generation;               /* --if-generation; -1: not given */
	bool staged;                         /* --staged */
};
/* argv without the program's name. ADMIN_BAD: `why` has the message. Give to admin_line_free in any case. */
enum admin_parsed admin_line_parse(struct admin_line *ret, int argc, const char *const argv[], struct buf *why);
void admin_line_free(struct admin_line *l);

/* Help for a path: all commands (no words), a group, a command. Unknown words: false, `out` has the message. */
bool admin_help(struct buf *out, const char *const words[], bool color);

/* ---- commands that need no daemon ---- */
/* Carries out a local command; the response as admin_execute gives it. json, color, width: as in a request. */
json_t *admin_local(const struct admin_command *c, json_t *args, bool json, bool color, unsigned width);
/* The same for a command that also asks the daemon, if one answers: `ask` sends a request ("command", "args") and gives its response (the
 * caller's); NULL: nobody answered, `why` has one line. ask NULL: there is nobody to ask. */
struct admin_program {
	bool json, color;
	unsigned width;
	json_t *(*ask)(void *arg, json_t *request, struct buf *why);
	void *arg;
	/* Of the program `entente`; may be NULL. */
	const char *socket; /* the control socket as the administrator said it (--socket, $ENTENTE_SOCKET); NULL: nothing was said */
	/* As ask, on the control socket `path`; with NULL comes *ret_exit, an enum admin_exit. */
	json_t *(*ask_at)(const char *path, json_t *request, struct buf *why, int *ret_exit);
	/* What takes long says how far it is; NULL: it is over. */
	void (*progress)(const char *text);
};
json_t *admin_local_run(const struct admin_command *c, json_t *args, const struct admin_program *p);

/* ---- documentation, complete pages ---- */
void admin_man_entente(struct buf *out); /* entente(1) */
void admin_man_conf(struct buf *out);    /* entente.conf(5) */
void admin_man_reasons(struct buf *out); /* entente-reasons(7) */
void admin_markdown_reasons(struct buf *out);
void lync_markdown(struct buf *out);  /* cmdlets: admin/lync.h */
void admin_markdown_metrics(struct buf *out);
void admin_completion_bash(struct buf *out);
void admin_completion_zsh(struct buf *out);
void admin_completion_fish(struct buf *out);
