/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's parts. `struct app` belongs to the control thread; workers read what is marked shared. */
#pragma once
#include <stdatomic.h>
#include "app/expiry.h"
#include "config/config.h"
#include "edge/access.h"
#include "edge/msrp_edge.h"
#include "edge/sip_edge.h"
#include "edge/xmpp_proxy.h"
#include "edge/sip_test.h"
#include "edge/xmpp_test.h"
#include "gateway/gateway.h"
#include "net/dns.h"
#include "net/listener.h"
#include "net/revocation.h"
#include "net/tls.h"
#include "net/worker.h"
#include "policy/snapshot.h"
#include "sandbox/sandbox.h"
#include "store/store.h"

struct app;
struct api;
struct control;
struct seeing;
struct metrics_http;
struct health;
struct probes;
struct test_ims;
struct tops;
struct edge_node;
struct gw_node;
struct split_app;
struct app_queue;

enum {
	APP_NAME_MAX = 272, /* a host name or address with a port */
	APP_BUS_QUEUE = 8192, /* messages waiting for one worker */
	APP_POOL_MAX = 32,    /* other edges of our pool */
	APP_SECRETS = XMPP_DIALBACK_SECRETS * XMPP_DIALBACK_KEY,
};

struct node_home { /* how it speaks */
	unsigned dialect, type;    /* enum gateway_dialect as set, enum config_home_type */
	struct dialect_place *place; /* of app->dialects */
};

struct node { /* one worker's roles; its thread's alone */
	struct app *app;
	struct worker *worker;
	struct tls_ctx *tls;
	struct sip_edge *sip;
	struct msrp_edge *msrp;     /* NULL: role edge */
	struct xmpp_proxy *xmpp;
	struct access *access;      /* NULL without sip.external-listen */
	struct sip_tests *sip_tests; /* role all */
	struct list deciding;       /* tests that have not begun (seeing.c) */
	unsigned *home_types;       /* enum config_home_type, by home; owned */
	size_t n_home_types;
	struct node_home *homes;    /* by index, as in the configuration; owned */
	size_t n_homes;
	struct gateway *gateway;
	struct ways *ways;          /* NULL: one role only */
	struct record_log *records; /* NULL: limits.decision-log is 0, or role edge */
	struct edge_node *edge;     /* role edge: instead of sip and gateway */
	struct gw_node *remote;     /* role gateway: instead of xmpp */
	struct tls_ctx *link_tls;
	struct snapshot_reader policy;
	struct timer drain;
	uint64_t drain_until;
	_Atomic size_t waiting; /* shared: what has no answer yet, while draining */
	_Atomic bool drained;   /* shared: its streams are closed */
};

struct app_msrp_place { /* what MSRP peers call us */
	char authority[APP_NAME_MAX + 8], address[APP_NAME_MAX];
	uint16_t port; /* 0: we do not listen */
};

struct app {
	const char *config_path;
	struct sandbox_level sandbox; /* what was reached; immutable after the start */
	struct keeper *keeper;        /* shared; NULL: server.key-process is off */
	struct event *keeper_watch;
	bool keys_lost;               /* it has ended before us */
	struct sandbox_paths *paths;  /* what may be opened; NULL: anything */
	struct config *config;        /* of the present generation; workers use it only in node_start */
	enum config_role role;        /* shared, immutable */
	struct split_app *split;      /* shared; NULL: role all */
	struct pool *pool;            /* shared */
	struct node *nodes;           /* shared: one per worker */
	struct store *store;          /* shared; NULL: role edge */
	struct app_queue *queue;      /* shared; NULL: role edge (app/queue.h) */
	struct snapshot_slot policy;  /* shared */
	struct dns *dns;              /* shared */
	struct revocation *revocation; /* shared */
	struct xmpp_quota *quota;     /* shared */
	struct xmpp_routes *routes;   /* shared */
	struct xmpp_dialback_secrets secrets; /* of the file; secrets.c */
	struct xmpp_history *history; /* shared */
	struct xmpp_tests *tests;     /* shared */
	struct trace *trace;          /* shared */
	struct seeing *seeing;
	struct metrics_http *metrics;
	struct health *health;        /* NULL before the workers run */
	struct probes *probes;        /* likewise */
	struct dialects *dialects;    /* shared */
	struct test_ims *test_ims;    /* shared: test_ims_take */
	struct tops *tops;
	_Atomic bool store_failing;   /* shared */
	bool reload_refused;          /* the file that was read last is not in force */
	int64_t config_at;            /* when the one in force was read */
	struct pace *pace;            /* shared */
	struct xmpp_seen *seen;       /* shared */
	struct tls_material *tls;     /* NULL without a certificate */
	struct gate *xmpp_gate, *sip_gate, *link_gate, *access_gate, *msrp_gate;
	struct access_shared *access_shared; /* shared; NULL without sip.external-listen */
	struct access_certs *access_certs;   /* shared; likewise */
	struct access_own own[9 + APP_POOL_MAX]; /* shared, immutable: our names in Route and Request-URI, those of the pool too */
	size_t n_own;
	char *pool_text[APP_POOL_MAX]; /* the texts of the latter */
	char test_name[APP_NAME_MAX];  /* shared, immutable: as outer_name, also without partners */
	char outer_name[APP_NAME_MAX]; /* shared, immutable: what partners call us, with the port */
	char route_name[APP_NAME_MAX]; /* shared, immutable: what they call this one of a pool, or empty */
	uint16_t outer_port;
	struct listener *listeners[32];
	size_t n_listeners;
	struct control *control;
	struct api *api;              /* NULL until the end of the start */
	struct xmpp_service service;  /* shared, immutable */
	char service_url[320];
	struct app_msrp_place msrp_places[2]; /* shared, immutable: without and with TLS */
	char sent_by[3][APP_NAME_MAX]; /* shared, immutable: by enum sip_transport; empty where we do not listen */
	char contact[3][2][APP_NAME_MAX +
			   24]; /* shared, immutable: URI under which homes reach us, by transport of the home, by IPv4 or IPv6 */
	uint64_t drain_ms;            /* shared, set before the workers are stopped */
	struct timer certificate;     /* looks at ours now and then */
	struct timer expiring;        /* looks at how long they last, partners' too */
	struct expiry_watch expiry;
	struct timer wall;            /* compares the clock of the day with the one that never jumps */
	int64_t wall_offset;          /* seconds between them */
	uint64_t generation, started_ms;
	int64_t started_at;
	bool stopping;
	bool keep_sessions;           /* shared, set before the workers are stopped: the next process goes on with them */
	bool serving;                 /* the listeners for partners and homes are open */
};

/* node.c */
extern const struct pool_ops node_ops;
/* Gives the TLS material to every worker, what is live in `cfg` too unless NULL, and lets everything be judged again by policy.
 * Control thread. */
void nodes_reload(struct app *app, const struct config *cfg);
/* Octets of one message with all that is made of it (loop_opts). */
size_t app_arena_max(const struct config *cfg);
/* Is there something in the configuration that only the roles can see to be wrong? Pure. */
int nodes_check(const struct config *cfg, struct entente_err *err);
/* A listener's callback; arg is the app. */
void node_accept_xmpp(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass);
void node_accept_xmpp_direct(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass);
void node_accept_sip_tcp(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass);
void node_accept_sip_tls(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass);
/* Runs fn on every worker's thread and waits until all have (at most 5 s; false when not). Control thread. */
bool nodes_call(struct app *app, void (*fn)(struct node *n, void *arg), void *arg);

/* msrp.c */
/* What the table of settings cannot check. Pure. */
int app_msrp_check(const struct config *cfg, struct entente_err *err);
/* A listener is open: what we are called from now on. Control thread, before the workers start. */
void app_msrp_place(struct app *app, const struct config *cfg, bool tls, const struct addr *bound);
void node_accept_msrp_tcp(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass);
void node_accept_msrp_tls(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass);

/* access.c */
/* After app_listen, before the workers start. */
/* What the table of settings cannot check. */
int app_access_check(const struct config *cfg, struct entente_err *err);
int app_access_start(struct app *app, const struct config *cfg, struct entente_err *err);
void app_access_end(struct app *app);
void node_accept_access(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass);

/* secrets.c: xmpp.dialback-secret-file */
int app_check_secrets(const struct config *cfg, struct entente_err *err);
/* From now on these; the old ones stay when the file cannot be read. Control thread. */
int app_use_secrets(struct app *app, const struct config *cfg, struct entente_err *err);
/* What keys are made and known with, as xmpp_proxy_set_secret takes it; empty: neither a file nor a store. Clear it after use. Any
 * thread. */
struct slice app_secrets(struct app *app, char ret[APP_SECRETS]);

/* policy.c */
/* Builds the snapshot from configuration and store and publishes it. */
int app_publish(struct app *app, const struct config *cfg, struct entente_err *err);
/* The same without publishing, of any store; what does not fit is appended to `findings` (admin_ops.build), if that is not NULL. */
struct json_t;
int app_build(struct app *app, struct store *store, const struct config *cfg, struct snapshot **ret, struct json_t *findings, struct entente_err *err);

/* control.c */
int control_open(struct control **ret, struct app *app, struct entente_err *err);
struct control *control_close(struct control *c);
/* What carries out commands; the API shares it. */
struct admin *control_admin(struct control *c);
/* Something about the daemon itself, for the audit log. */
void control_note(struct control *c, const char *via, const char *text);
/* A reload that a signal asks for, recorded as those that are asked for by a command. */
void control_reload(struct control *c);
/* admin_recover and admin_policy_tests of its admin. */
bool control_recover(struct control *c, struct entente_err *err);
int control_policy_tests(struct control *c, const struct config *cfg, struct snapshot *s, struct config_errors *errs);

/* keys.c: server.key-process. All on the control thread. */
/* Forks the keeper, which TLS then loads its keys from, unless the setting is off. Before everything else: the child gets the memory and the rights that there are
 * now. */
int keys_start(struct app *app, const struct config *cfg, struct entente_err *err);
/* From now on its end is ours, too: the control loop stops, app->keys_lost. */
void keys_watch(struct app *app);
/* Before the control loop goes. */
void keys_unwatch(struct app *app);
/* After all TLS material is gone. */
void keys_stop(struct app *app);
/* For `status`: the object "keys". */
void keys_facts(const struct app *app, struct json_t *object);

/* confine.c: server.sandbox */
/* Gives up what a daemon of this configuration does not need. Control thread, before there is another; see sandbox/sandbox.h. */
int app_confine(struct app *app, const struct config *cfg, struct entente_err *err);
/* Could the files of this configuration be read, after that? ENTENTE_EINVAL: one of them needs a restart. */
int app_confined(const struct app *app, const struct config *cfg, struct entente_err *err);

/* metrics_http.c: metrics.listen */
/* *ret stays NULL when the setting is empty. */
int metrics_http_open(struct metrics_http **ret, struct app *app, const struct config *cfg, struct entente_err *err);
/* Accepts NULL; returns NULL. */
struct metrics_http *metrics_http_close(struct metrics_http *m);
/* ENTENTE_EINVAL. Pure. */
int metrics_http_address(const struct config *cfg, struct addr *ret, struct entente_err *err);

/* listen.c */
/* Opens the TCP listeners, and finds out what the homes shall call us. On an edge only the one for its gateway: partners are let in by
 * app_serve; that they can be is tried. */
int app_listen(struct app *app, const struct config *cfg, struct entente_err *err);
/* Opens the listeners for partners unless they are open: an edge has a policy now. Control thread. */
int app_serve(struct app *app, struct entente_err *err);
void app_set_gates(struct app *app, const struct config *cfg);
/* Any thread. `what`: "xmpp", "sip/tcp" ... */
void app_tell_listener(const char *what, const struct addr *at);

/* reload.c */
/* Is there something wrong that the parser cannot see? ENTENTE_EINVAL, ENTENTE_ESYNTAX. Pure. */
int app_check(const struct config *cfg, struct entente_err *err);
/* *ret is NULL when no certificate is configured. */
int app_load_tls(struct tls_material **ret, const struct config *cfg, struct entente_err *err);
void app_revocation_settings(struct revocation_settings *ret, const struct config *cfg);
/* Warns when it is bad or will soon be. */
void app_look_at_certificate(const struct app *app);
/* What a reload would check beyond the file itself. */
int app_reload_check(struct app *app, const struct config *cfg, struct entente_err *err);

int app_reload(struct app *app, struct config_errors *errs);
const char *app_role_name(const struct app *app);
/* Tells systemd that we are ready, and what for. */
void app_status(const struct app *app);
