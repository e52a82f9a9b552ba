/* SPDX-License-Identifier: Apache-2.0 */
/* Administration of a running daemon: one request line in, one response line out (JSON, RFC 8259, one object per line). What
 * commands exist, their arguments and their documentation is admin/command.h; this is the daemon's side of them. The application
 * owns the unix socket and only moves bytes (struct admin_session).
 *
 *   {"command":["partner","xmpp","add"],"args":{"domain":"example.org","type":"federated"},"json":true}
 *   {"exit":0,"data":{...},"warnings":["..."]}
 *
 * Request: "command" and "args" as in the table of commands; "json" true: answer with "data", else with "text" for people;
 * "color" true: the text may carry ECMA-48 colours; "width": columns of the terminal, 0 or absent: do not cut.
 * "if_generation" N, of a command that changes: only if the policy is at that generation, else the error "stale" (exit 4) with member
 * "generation", the present one. "staged" true, of a command that does not change: asks the draft of that administrator (`config begin`), not what
 * is in force; error "no-draft" when there is none.
 * A command that takes time (`partner test`, `trace`: "live" in the table) writes lines before its response, which have no "exit":
 * {"event":{...}} where "json" is true, else {"line":"text with its newlines"}. Whoever does not read loses events, and is told how
 * many ({"event":{"event":"lost","lost":12}}). Closing the connection ends the command. Requests that follow wait for its end.
 *
 * Passwords never pass here: the member "password" of args is the argon2id hash (admin/password.h).
 *
 * Response: "generation" is that of the policy after the command, as the history counts; "staged" true when the answer is of a draft, or the change
 * waits in one. "exit" is an enum admin_exit; "data" or "text" when there is something to print; "warnings", texts of one line each,
 * when there are any; "error" {"code","text","hint"} when the command could not be carried out.
 *
 * Thread: the control thread only, everything here. Other commands run to their end inside admin_execute: they may wait for the
 * disk and for ops, not longer than some seconds. */
#pragma once
#include <jansson.h>
#include "admin/command.h"
#include "base/buf.h"
#include "config/config.h"
#include "policy/record.h"
#include "policy/snapshot.h"
#include "store/store.h"

enum {
	ADMIN_DOCUMENT_MAX = 4194304,  /* octets of a document or file within a request */
	ADMIN_REQUEST_MAX = 8454144,   /* octets of one request line */
	ADMIN_RESPONSE_MAX = 67108864, /* octets of one response line */
	ADMIN_ADDRESS_MAX = 3072,      /* of a bare address, with its NUL: RFC 7622 3.1 without the resource, and room */
};

enum admin_show { ADMIN_STREAMS, ADMIN_SUBSCRIPTIONS, ADMIN_CONVERSATIONS, ADMIN_HOMES, ADMIN_LINKS, ADMIN_SIP_CONNECTIONS, ADMIN_SIP_TRANSACTIONS,
		  ADMIN_SIP_DIALOGS, ADMIN_WATCH_LIST, ADMIN_SIP_CERTIFICATES, ADMIN_REVOCATION_LISTS, ADMIN_PROBES };

/* ---- commands that take time ---- */
struct admin_task;

enum admin_protocol { ADMIN_PROTOCOL_AUTO, ADMIN_PROTOCOL_XMPP, ADMIN_PROTOCOL_SIP }; /* AUTO: as DNS has it */
/* `partner test`. Slices are valid during the call. */
struct admin_test {
	struct slice domain, from;                  /* A-labels; from is one of ours */
	enum admin_protocol protocol;
	bool set_tls, set_sasl, set_dialback;       /* given, instead of the partner's settings */
	enum policy_negotiation tls, sasl;
	bool dialback;
	struct slice server_host;                   /* empty: as configured */
	uint16_t server_port;
	uint32_t timeout_ms;
};
/* `trace`. Empty texts: everything. */
struct admin_trace {
	struct slice partner, user; /* a domain in A-labels; a bare JID */
	bool bodies, failed;
	uint32_t ms;                /* for so long; 0: not live, only what was kept */
	uint32_t since_ms, most;    /* not 0: first what was kept from that long ago, the last `most` of it */
};
/* `test im`. Slices are valid during the call. */
struct admin_test_im {
	struct slice from, to;  /* bare JIDs in A-labels; one of them is ours */
	struct slice text;      /* what is written; marked as a test already */
	bool to_local;          /* from a partner's user to ours; else the other way */
	uint32_t home;          /* not to_local: index of the home that has `from` */
	uint32_t timeout_ms;
};
/* What is wanted of the decision log (policy/record.h). Empty and 0: everything. */
struct admin_records {
	struct slice id;         /* trace ID, Call-ID or id of a stanza, exactly */
	struct slice from, to;   /* an address, or a domain; with * and ? as a pattern */
	struct slice partner;    /* a domain, of either side */
	int64_t since_ms, until_ms; /* since 1970 */
	bool failed;             /* only what was refused or failed */
	size_t most;             /* at most so many, the newest */
};
/* Pure; any thread. */
bool admin_record_matches(const struct admin_records *q, const struct record *r);
/* An object as `entente show messages --json` has it; the caller's. */
json_t *admin_record_json(const struct record *r);

/* What is wanted of the queue. Empty: everything. */
struct admin_queue_query {
	struct slice partner, state, user; /* a domain; waiting, under-way, held, quarantined, paused; a bare JID */
	size_t most;                       /* at most so many, the oldest */
};
enum admin_queue_verb { ADMIN_QUEUE_HOLD, ADMIN_QUEUE_RELEASE, ADMIN_QUEUE_RETRY, ADMIN_QUEUE_EXPIRE, ADMIN_QUEUE_QUARANTINE };

/* Something happened; takes the reference. Of a test: step, outcome, at, took (ms), text, facts {...}; with outcome failed and step
 * verdict also reason, who. Of a trace: see the table of commands. */
void admin_task_event(struct admin_task *t, json_t *event);
/* The end; t is gone. err NULL: it ran to its end. A test had its verdict event before. */
void admin_task_end(struct admin_task *t, const struct entente_err *err);

/* What the application provides. All are called on the control thread, from inside admin_execute; each may wait up to about 5
 * seconds. Objects and arrays are the caller's: functions only add to them. Times are seconds, counts integers; a value that
 * is not known is left out. */
struct admin_ops {
	/* Adds to an object that has version, generation, partners, homes, local_domains and the metrics already:
	 *   server_name  text            state     "running", "draining"
	 *   uptime       integer         workers   integer
	 *   listeners    array of text, e.g. "xmpp [::]:5269"
	 *   store        "ok", or what is wrong
	 *   certificate  {"subject": text, "names": [text], "not_after": seconds since 1970}
	 *   problems     array of text, one line each: what needs attention now. `entente status` exits with 1 when it is not empty.
	 * Further members are printed too. */
	void (*status)(void *arg, json_t *object);
	/* Appends one object per row. 0, or a negative error with err filled (a worker does not answer: ENTENTE_ETIMEOUT; what
	 * came in time is in the array).
	 *   streams        id, worker, direction ("in", "out"), state, local, remote, address, auth ("external", "dialback", "certificate"), how, tls,
	 *                  cipher, stanzas_in, stanzas_out, age, queued, error (last one of a link in back-off)
	 *   subscriptions  direction ("to-sip": an XMPP user watches a SIP user, "to-xmpp"), watcher, presentity, state, dialogs,
	 *                  resources, show
	 *   conversations  local, remote, to_xmpp, to_sip, failed, idle, queued
	 *   links          peer, worker, state ("up", "leaving", "connecting", "backoff"), address, version, stanzas_in, stanzas_out, queued,
	 *                  unanswered, age, error
	 *   homes          name, domains [text], next_hop, state ("reachable", "unreachable", "unknown"), addresses [text], error */
	/*   probes        partner, protocol, result ("up", "down", "running", "pending"), at (RFC 3339), took (ms), failures, step, reason, who, text */
	/*   sip connections   id, worker, direction, state, domain, host, address, subject, tls, cipher, requests, age, idle
	 *   sip transactions  worker, direction, method, domain, state, from, to, age
	 *   sip dialogs       kind, direction, state, local, remote, event, call_id, requests_in, requests_out, age, idle, left
	 *   watch list        subject, issuer, serial, domains, mode, requests, throttled, contacts, contacts_refused, succeeded, failed, idle */
	int (*show)(void *arg, enum admin_show what, json_t *array, struct entente_err *err);
	/* Appends an object per attempt to come into contact with the domain (A-labels) or of the domain with us, newest first: at
	 * (RFC 3339), direction, purpose, result ("up", "ended", "failed"), step (how far it came), took {step: ms}, local, remote,
	 * address, how, auth, tls, certificate, reason, text, said (by the partner's server: true), condition, who, stream. */
	void (*attempts)(void *arg, struct slice domain, json_t *array);
	/* Begin what takes time: 0, and then events and the end come later by admin_task_*, unless `cancel` comes first; or a negative
	 * error with err filled (ENTENTE_ELIMIT: too many run). */
	int (*test)(void *arg, const struct admin_test *what, struct admin_task *t, struct entente_err *err);
	int (*trace)(void *arg, const struct admin_trace *what, struct admin_task *t, struct entente_err *err);
	/* Sends it. Events: step ("taken", "policy", "given", "sent", "answer", "again", "waits", "told", "dropped"; "verdict" at the end), outcome ("ok",
	 * "failed", "note"), at and took (ms), text; of the verdict also result ("delivered", "refused", "failed", "ignored", "timeout"), reason, trace. */
	int (*test_im)(void *arg, const struct admin_test_im *what, struct admin_task *t, struct entente_err *err);
	/* A picture of the present every interval_ms, `count` times (0: until cancelled): see the table of commands, `top`. */
	int (*top)(void *arg, uint32_t interval_ms, uint32_t count, struct admin_task *t, struct entente_err *err);
	/* Nobody wants to hear of it any more; t is gone afterwards. */
	void (*cancel)(void *arg, struct admin_task *t);
	/* Appends the metrics in the text format of Prometheus. */
	void (*metrics)(void *arg, struct buf *out);
	/* The place of a setting in the configuration that is in force, as "file:line"; of a home, and of a domain of it, when `home` is not empty. False:
	 * the file does not give it. May be NULL. */
	bool (*place)(void *arg, const char *key, struct slice home, struct slice domain, char *ret, size_t size);
	/* Appends what of the decision log is wanted, newest first (admin_record_json). 0, or a negative error with err filled: then what came in time is in
	 * the array. ENTENTE_ENOTFOUND: nothing is recorded (limits.decision-log is 0). May be NULL. */
	int (*records)(void *arg, const struct admin_records *what, json_t *array, struct entente_err *err);
	/* The queue; all NULL where there is none (an edge).
	 * queue_list appends an object per entry, the oldest first (members as in the table of commands, `queue list`), and adds to
	 * `about`: matching, total, octets, oldest, paused, failing, why, directory. ENTENTE_ETIMEOUT: what came in time is in the array. */
	int (*queue_list)(void *arg, const struct admin_queue_query *what, json_t *array, json_t *about, struct entente_err *err);
	/* Adds the members of the entry, with `body` also stanza. ENTENTE_ENOTFOUND. */
	int (*queue_show)(void *arg, uint64_t number, bool body, json_t *object, struct entente_err *err);
	/* ENTENTE_ENOTFOUND; ENTENTE_EAGAIN: it is under way, or held. */
	int (*queue_do)(void *arg, uint64_t number, enum admin_queue_verb verb, struct entente_err *err);
	/* To all of the partner (empty: to all) for which it makes sense; *ret_n: how many. */
	int (*queue_do_all)(void *arg, struct slice partner, enum admin_queue_verb verb, size_t *ret_n, struct entente_err *err);
	/* ENTENTE_EIO: it holds, but not over a restart. */
	int (*queue_pause)(void *arg, struct slice partner, bool paused, struct entente_err *err);
	/* The generation in force; borrowed, valid until the next call of policy_changed or reload or the end of admin_execute. */
	struct snapshot *(*snapshot)(void *arg);
	/* Has the local user the remote one as contact? Bare JIDs as `address` gives them. */
	bool (*contact)(void *arg, struct slice local_bare, struct slice remote_bare);
	/* From now on it has, or has not; in the database as well, with its line of the history. 0, ENTENTE_EEXIST, ENTENTE_ENOTFOUND, or another negative
	 * error, with err filled. */
	int (*contact_set)(void *arg, struct slice local_bare, struct slice remote_bare, bool there, struct slice who, struct entente_err *err);
	/* "sip:..." or "xmpp:..." URIs and bare addresses without a scheme (taken as JID) to the canonical bare JID, prepared,
	 * domain in A-labels; a resource is dropped. ret_jid has `size` octets (ADMIN_ADDRESS_MAX), NUL-terminated. 0, or a negative
	 * error with err filled (err->reason as the data path would say). */
	int (*address)(void *arg, struct slice text, bool *ret_is_sip, char *ret_jid, size_t size, struct entente_err *err);
	/* The certificate that the partner showed last: adds key (SHA-256 of the public key, hex), subject, issuer, not_before, not_after (seconds since
	 * 1970), at (RFC 3339), direction ("in", "out"), auth (what it proved by it, may be empty), believed (bool). False: none was seen.
	 * May be NULL. */
	bool (*seen)(void *arg, struct slice domain, json_t *object);
	/* Appends the certificates in force (usage, and the members of certificate_facts) and those that partners have shown (domain, protocol,
	 * subject, issuer, not_before, not_after (RFC 3339), remaining, state, believed, sha256, seen). Either may be NULL. The op may be NULL. */
	void (*certificates)(void *arg, json_t *own, json_t *partners);
	/* Partners or blocked domains in the store have changed (committed): build a snapshot from configuration and store, and
	 * publish it. 0, or a negative error with err filled: then the old generation stays in force. */
	int (*policy_changed)(void *arg, struct entente_err *err);
	/* Builds a snapshot of that store with that configuration (NULL: the one in force), and publishes nothing. Objects that do not fit are left
	 * out, as they would be in force; of each one {"kind","key","text"} is appended to `findings`, unless that is NULL; kind as in the history:
	 * "xmpp-partner", "blocked-domain", or a name of store_federation_name. *ret is the caller's. NULL where there are no drafts (an edge, tests). */
	int (*build)(void *arg, struct store *store, const struct config *config, struct snapshot **ret, json_t *findings, struct entente_err *err);
	/* The configuration in force, and the file that it comes from; valid until the next reload. With `build`, never NULL. */
	const struct config *(*config)(void *arg);
	const char *(*config_path)(void *arg);
	/* What a reload would check beyond the file itself. With `build`, never NULL. */
	int (*config_check)(void *arg, const struct config *config, struct entente_err *err);
	/* Loads the configuration anew and puts it in force, as SIGHUP does. 0, or a negative error: nothing was changed. *errs is
	 * filled anew (warnings on success too); a failure that is not of the file is one entry with line 0. */
	int (*reload)(void *arg, struct config_errors *errs);
	/* Accounts or tokens in the store have changed (committed). May be NULL. */
	void (*identities_changed)(void *arg);
};

struct admin;

/* Number of the policy, as the history counts; 0 on an edge. */
uint64_t admin_generation(const struct admin *a);

/* Text of any origin as a JSON string: what is not UTF-8 becomes U+FFFD. */
json_t *admin_json_text(struct slice s);

/* Everything is borrowed and must outlive the admin. `store` may be NULL in an edge. */
struct admin *admin_new(struct store *store, const struct admin_ops *ops, void *arg);
/* What this process has of a server whose edge and gateway are two processes: commands that need the other half are refused with the advice
 * to ask there. The whole, unless said. */
enum admin_half { ADMIN_WHOLE, ADMIN_EDGE_HALF, ADMIN_GATEWAY_HALF };
void admin_set_half(struct admin *a, enum admin_half half);
/* Where the audit log is (admin/audit.h), copied: the store's directory, unless said. NULL: nothing is recorded. */
void admin_set_audit(struct admin *a, const char *directory);
/* Why the last record could not be written, and changes are refused; NULL: all is well. */
const char *admin_audit_trouble(const struct admin *a);
/* A change that no request asks for: a record before it (not 0: it must not be made) and one after it. *ret_seq belongs to the second; code NULL:
 * no error. */
int admin_audit_begin(struct admin *a, struct slice who, const char *via, enum admin_id id, int64_t *ret_seq, struct entente_err *err);
void admin_audit_end(struct admin *a, struct slice who, const char *via, int64_t seq, int exit, const char *code);
/* Something about the daemon itself; `more` (members) is taken over, may be NULL. */
int admin_audit_note(struct admin *a, const char *via, const char *text, json_t *more, struct entente_err *err);
/* To be called once before anything else, when the store is open: a commit that was cut short between the database and the configuration file is
 * brought to its end, and the document of the present generation is kept. True: the file was written, load it again. On failure false, and
 * err->text says what somebody has to look at. */
bool admin_recover(struct admin *a, struct entente_err *err);
/* The policy tests of a configuration against a snapshot: what a reload has to ask before it publishes. `text`: of the file, for the lines of the
 * tests. 0; ENTENTE_EREFUSED: some fail, one error for each in *errs (filled anew). */
int admin_policy_tests(struct admin *a, const struct config *config, struct slice text, struct snapshot *s, struct config_errors *errs);
/* Accepts NULL; returns NULL. Sessions must be gone. */
struct admin *admin_free(struct admin *a);

/* Carries out one request (without its newline) in the name of `who` (for the history, e.g. "root"). Appends one response and its
 * newline to `response`. Whatever the request is, there is a response: malformed ones get exit 2. Only a response past the
 * limits of `response` fails it (buf_ok). */
void admin_execute(struct admin *a, struct slice who, struct slice request, struct buf *response);

/* ---- one connection of the control socket. The socket file should be 0660: whoever may connect may administer. ---- */
struct admin_session;

/* uid: of the peer (SO_PEERCRED); (uint32_t)-1 when not known. */
struct admin_session *admin_session_new(struct admin *a, uint32_t uid);
/* For somebody who is known in another way, with these roles (ADMIN_ROLE_..., admin/role.h): commands that they are not enough for are
 * refused (exit 4, code "forbidden"). admin_session_new: all roles. */
struct admin_session *admin_session_new_as(struct admin *a, struct slice who, unsigned roles);
/* It comes by HTTP: so the audit log says. */
void admin_session_by_api(struct admin_session *s);
/* The name of a user by /etc/passwd alone; "uid N" when it has none. */
/* True: there is no such user, but there may be by now (base/kept.h). */
bool admin_user_name(uint32_t uid, char *ret, size_t size);
/* Accepts NULL; returns NULL. */
struct admin_session *admin_session_free(struct admin_session *s);
/* Where the session may write at any time from now on, not only inside admin_session_input: what a command that takes time has to
 * tell. `ready` is called then, not from inside admin_session_input. Without it such commands are refused. */
void admin_session_output(struct admin_session *s, struct buf *out, void (*ready)(void *arg), void *arg);
/* Takes what was read; carries out each complete line and appends the responses to `out` (the caller's; its limit should be at
 * least ADMIN_RESPONSE_MAX). 0: go on reading. ENTENTE_ELIMIT: a line is too long or `out` is full: write what `out` holds
 * (it explains), then close. */
int admin_session_input(struct admin_session *s, struct slice bytes, struct buf *out);
