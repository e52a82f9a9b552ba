/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: what the commands `entente certificate ...` share. The shelf is the folder `certificates` beside the configuration file:
 * NAME.pem and NAME.key of what was imported, USAGE-request.key and USAGE-request.csr of what was asked for and has not come yet. Keys go into
 * plan_key_folder() when that is there, as quickstart and the package make it; what lies on the shelf from before is found. */
#pragma once
#include "admin/call.h"
#include "base/arena.h"
#include "plan/bundle.h"
#include "plan/certificates.h"
#include "plan/plan.h"

enum { CERTIFICATE_PATH_MAX = 4096, CERTIFICATE_FILE_MAX = 1 << 20 };

struct certificate_place {
	struct config *config;
	struct arena *arena;
	struct plan plan;                  /* no certificates when the configuration names no domain */
	char shelf[CERTIFICATE_PATH_MAX];
	char keys[CERTIFICATE_PATH_MAX];   /* the folder for keys: the shelf, or one of their own */
};
/* Reads the configuration and plans. An enum admin_exit; give it to certificate_place_clear in any case. */
int certificate_place_open(struct certificate_place *p, struct admin_call *c);
void certificate_place_clear(struct certificate_place *p);
/* What the plan says of the usage; NULL: nothing. */
const struct plan_certificate *certificate_planned(const struct certificate_place *p, enum plan_slot s);
/* The usages of the argument "usage"; the server's when none is given and `def`. How many. */
size_t certificate_usages(const struct admin_call *c, enum plan_slot ret[PLAN_SLOT_COUNT], bool def);
/* "DIRECTORY/NAME.SUFFIX"; false: too long. */
bool certificate_path(char ret[CERTIFICATE_PATH_MAX], const char *directory, const char *name, const char *suffix);

/* Members of a certificate: subject, issuer, serial, names, not_before, not_after, remaining, state, purposes, sha256, pin. */
void certificate_facts(json_t *o, const struct tls_peer *f);
/* Names of the plan that it lacks, and "client purpose" and "server purpose" as purposes[]; sets missing. */
void certificate_missing(json_t *o, const struct tls_peer *f, const struct plan_certificate *want);
/* The part of the lifetime that is left, in thousandths. */
json_t *certificate_ratio(int64_t not_before, int64_t not_after, int64_t now);
/* RFC 3339, "" for 0. */
json_t *certificate_time(int64_t t);

/* Makes the shelf when it is not there, for root and the daemon's group. An enum admin_exit. */
int certificate_shelf_open(struct admin_call *c, const struct certificate_place *p);
/* Records an error of plan/install.h or plan/bundle.h. */
int certificate_fail(struct admin_call *c, const struct entente_err *err);
/* What to do next, as a member of the data, and for people. */
void certificate_next(struct admin_call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void certificate_print_next(struct admin_call *c);
/* "  label       value" */
void certificate_row(struct admin_call *c, const char *label, json_t *v);

void admin_certificates_print_partners(struct admin_call *c, json_t *list);

extern const struct admin_handler admin_certificate_request, admin_certificate_import, admin_certificate_assign, admin_certificate_show;
