/* SPDX-License-Identifier: Apache-2.0 */
/* `show metrics`: the text format of Prometheus, 0.0.4. */
#include "admin/admin_int.h"
#include "base/metric.h"

int admin_metrics(struct admin_call *c)
{
	struct buf b;
	buf_init(&b, 1 << 22);
	c->admin->ops->metrics(c->admin->arg, &b);
	if (c->json)
		admin_set_text(c->data, "text", buf_slice(&b));
	else
		buf_put(&c->text, buf_slice(&b));
	buf_free(&b);
	return ADMIN_EXIT_OK;
}
