/* SPDX-License-Identifier: Apache-2.0 */
/* A YAML file as a tree with the place of every node, and errors that know their place: what the configuration is read with, for other
 * documents that people write. JSON (RFC 8259) is YAML too. Pure; any thread. */
#pragma once
#include "base/arena.h"
#include "config/config.h"

enum config_node_kind { CONFIG_NODE_SCALAR, CONFIG_NODE_LIST, CONFIG_NODE_MAP };
enum { CONFIG_DEPTH_MAX = 8, CONFIG_KEYS_MAX = 256 };

struct config_node {
	enum config_node_kind kind;
	bool plain;            /* a scalar without quotes */
	struct slice text;     /* of a scalar */
	unsigned line, column;
	unsigned end_line, end_column; /* behind the last character; of a map or list in lines: its beginning */
	struct slice key;      /* under a map */
	unsigned key_line, key_column;
	struct config_node *first, *last, *next;
	size_t n;              /* children */
};

/* NULL when the file cannot be read as YAML (reported in errs). An empty file gives an empty map. Nodes in the arena. */
struct config_node *config_node_read(struct arena *a, struct slice text, struct config_errors *errs);

/* ---- errors ---- */
/* One more; kept in the order of their places. */
void config_error(struct config_errors *errs, bool warning, unsigned line, unsigned column, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
/* Fills the source lines once all is found. */
void config_errors_source(struct config_errors *errs, struct slice text);
enum { CONFIG_QUOTE = 72 };
/* The offending text, short and printable. */
const char *config_quote(char dst[CONFIG_QUOTE], struct slice text);
