/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: the whole policy as one document. In memory it is a JSON object: "format", then one member for each section: an object
 * (access-edge) or an array of objects, sorted by their keys; every field of every object is there, in the order of its table. So two
 * documents of the same policy are the same octets, and documents can be compared object by object.
 *
 * On paper it is YAML or JSON. Reading is strict: unknown keys and sections, wrong types and values, objects named twice are errors with
 * their place; fields that are left out have their defaults. Objects that do not fit together are found later, when a snapshot is built
 * of them (admin/draft.h). Pure but for the load; control thread. */
#pragma once
#include <jansson.h>
#include "base/buf.h"
#include "config/config.h"
#include "store/store.h"

#define ADMIN_DOCUMENT_FORMAT "entente-policy/1"

/* Of what is committed in the store. 0 and *ret (the caller's), or a negative error with err. */
int admin_document_load(json_t **ret, struct store *s, struct entente_err *err);
void admin_document_write(struct buf *out, json_t *document, bool yaml);
/* NULL: errs (filled anew) says why. `places`, if not NULL: an object to which {section: {key: [line, column]}} is added; the key of
 * access-edge is "". `merge`: sections that are not in the text are not in the result; without, they are empty (access-edge: defaults). */
json_t *admin_document_read(struct slice text, bool merge, struct config_errors *errs, json_t *places);

/* What changes from one document to the other: an array of {"section","key","change": "add" | "set" | "remove", "fields": [{"field","from",
 * "to"}]}; fields of "add" have no "from", of "remove" no "to". In the order of sections and keys. A section that `to` does not have
 * stays as it is; with `merge` objects that it does not have stay, too. */
json_t *admin_document_diff(json_t *from, json_t *to, bool merge);
/* The requests that make the changes, into a collector (store/store_set.h), in an order that never passes through a conflict. `to`: the
 * document that the changes lead to. ENTENTE_EINVAL with err: a value that the store does not take. */
int admin_document_requests(struct store *collector, json_t *changes, json_t *to, struct slice who, struct entente_err *err);
/* "xmpp-partners fabrikam.example: set tls required -> optional", one line, no newline. */
void admin_document_change_print(struct buf *out, json_t *change);
/* The object of a section with that key ("" of access-edge); borrowed, NULL when there is none. */
json_t *admin_document_object(json_t *document, const char *section, const char *key);
/* The section of an object of the store: "xmpp-partner", "blocked-domain", or a name of store_federation_name. NULL: none. */
const char *admin_document_section(const char *kind);
