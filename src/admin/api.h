/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands as an HTTP API: which operation is which command, and its description. Nothing here sees a socket (src/api does):
 * pure functions, any thread. One command, one operation; the path is the command's words:
 *
 *   entente partner xmpp add fabrikam.example --type federated
 *   POST /v1/partner/xmpp/add   {"domain": "fabrikam.example", "type": "federated"}
 *   entente partner xmpp list --filter '*.org'
 *   GET /v1/partner/xmpp/list?filter=*.org
 *
 * GET for what only reads; its arguments are the query, with those that may be repeated repeated. POST for what changes something or takes
 * time; its arguments are a JSON object (RFC 8259), an empty body is {}. So the two can never say different things. Local commands are
 * operations where they read no file (the reasons, the settings). */
#pragma once
#include "admin/command.h"

#define ADMIN_API_ROOT "/v1/"

/* Is it an operation at all? */
bool admin_api_has(const struct admin_command *c);
const char *admin_api_method(const struct admin_command *c); /* "GET" "POST" */
void admin_api_path(struct buf *out, const struct admin_command *c);
/* Of the operation, and of the program that a generator makes of it: partner_xmpp_add. */
void admin_api_id(struct buf *out, const struct admin_command *c);
/* The command of a path as it stands in the request, without the query; case and spelling count, nothing is decoded or tidied. NULL: none. */
const struct admin_command *admin_api_find(struct slice path);

/* The query (without '?', RFC 3986 3.4, application/x-www-form-urlencoded) as arguments, not checked yet (admin_args_check). The caller's
 * object; NULL: `why` is told. */
json_t *admin_api_query(const struct admin_command *c, struct slice query, struct buf *why);

/* Does what it reads or changes belong to the policy, which has a generation (an ETag)? True for commands beside which stands one that
 * changes: `partner xmpp list` beside `partner xmpp add`. */
bool admin_api_policy(const struct admin_command *c);

/* HTTP status of a response: exit code and "code" of its error ("" without one). */
int admin_api_status(int exit, const char *code);

/* The whole description, OpenAPI 3.1.0; the caller's. */
json_t *admin_openapi(void);
