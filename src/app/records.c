/* SPDX-License-Identifier: Apache-2.0 */
/* The decision logs of all workers. */
#include <stdlib.h>
#include "app/facts.h"
#include "base/mem.h"

struct collect {
	const struct admin_records *what;
	json_t *array;
	size_t n; /* of this worker */
	bool any;
};

static bool collect(void *arg, const struct record *r)
{
	struct collect *c = arg;
	if (admin_record_matches(c->what, r)) {
		json_array_append_new(c->array, admin_record_json(r));
		c->n++;
	}
	return c->n < c->what->most && (!c->what->since_ms || r->at_ms >= c->what->since_ms);
}

static void of_node(struct node *n, void *arg)
{
	struct collect *c = arg;
	c->n = 0;
	c->any |= n->records != NULL;
	record_each(n->records, collect, c);
}

/* Numbers grow with time. */
static int newest_first(const void *a, const void *b)
{
	return -strcmp(json_string_value(json_object_get(*(json_t *const *)a, "id")), json_string_value(json_object_get(*(json_t *const *)b, "id")));
}

int facts_records(struct app *app, const struct admin_records *what, json_t *array, struct entente_err *err)
{
	struct collect c = {.what = what, .array = json_array()};
	bool ok = nodes_call(app, of_node, &c);
	size_t n = json_array_size(c.array);
	json_t **all = mem_calloc(n + 1, sizeof(json_t *));
	for (size_t i = 0; i < n; i++)
		all[i] = json_array_get(c.array, i);
	qsort(all, n, sizeof *all, newest_first);
	for (size_t i = 0; i < n && i < what->most; i++)
		json_array_append(array, all[i]);
	mem_free(all);
	json_decref(c.array);
	if (!ok)
		return err_set(err, ENTENTE_ETIMEOUT, REASON_NONE, "a worker did not answer within 5 s");
	return c.any ? 0 : err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "nothing is recorded: limits.decision-log is 0");
}
