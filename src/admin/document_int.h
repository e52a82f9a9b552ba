/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the document: its sections and their fields. */
#pragma once
#include "admin/document.h"
#include "policy/federation.h"
#include "store/store_federation.h"

enum document_type {
	DOCUMENT_BOOL, DOCUMENT_UINT, DOCUMENT_WORD /* one of `values` */, DOCUMENT_DOMAIN, DOCUMENT_DOMAINS, DOCUMENT_PATTERNS /* domains, or *. and one */,
	DOCUMENT_PINS, DOCUMENT_SERVER, DOCUMENT_TEXT,
};
struct document_field {
	const char *name;
	enum document_type type;
	const char *def, *values;
	uint64_t min, max;
};

enum document_what { DOCUMENT_ACCESS, DOCUMENT_PARTNERS, DOCUMENT_BLOCKED, DOCUMENT_OBJECTS };
struct document_section {
	const char *name;             /* in the document */
	const char *kind;             /* of the store, as in the history */
	enum document_what what;
	enum store_federation store;  /* ACCESS, OBJECTS */
	enum policy_table table;
	const char *key;              /* name of the field that identifies an object; NULL: there is one */
	enum document_type key_type;
};
extern const struct document_section document_sections[];
extern const size_t document_n_sections;

enum { DOCUMENT_FIELDS_MAX = 64 };
/* The fields without the key; returns their number. */
size_t document_fields(const struct document_section *s, struct document_field ret[DOCUMENT_FIELDS_MAX]);
/* The default of a field as JSON. */
json_t *document_default(const struct document_field *f);
bool document_is_list(enum document_type t);

/* Strings as both YAML and JSON read them. */
void document_quote(struct buf *out, struct slice s);

/* JSON into the values of policy; slices are borrowed from it and from the arena. */
struct arena;
bool document_partner(struct arena *a, json_t *object, struct policy_partner *ret);
/* Brings every section into its order. */
void document_sort(json_t *document);
union document_object {
	struct policy_access access;
	struct policy_allowed allowed;
	struct policy_provider provider;
	struct policy_external external;
	struct policy_user user;
};
int document_object(struct arena *a, const struct document_section *s, json_t *object, union document_object *ret, struct entente_err *err);
