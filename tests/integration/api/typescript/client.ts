// Drives the API with the types that were generated from its OpenAPI document: the compiler refuses what it does not allow.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const [url, key] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });

const created = await client.POST("/v1/tasks/create", {
  body: { group_name: "typescript", width: 80 },
  bodySerializer(fields) {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, String(value));
    form.append("file", new Blob(["https://example.com/1.jpg,Ada,\nhttps://example.com/2.jpg,Grace,\n"]), "faces.csv");
    return form;
  },
});
assert(created.data, created.error?.error);
const path = { task_id: created.data.id };

const listed = await client.POST("/v1/tasks/list", { body: { group_name: "typescript", status: 1, fields: "summary" } });
assert.deepEqual(listed.data?.ids, [path.task_id]);
assert.equal(listed.data?.tasks?.[0]?.total_num, 2);

const configured = await client.POST("/v1/tasks/{task_id}/config", { params: { path }, body: { thread_num: 5 } });
assert.deepEqual(configured.data, {});

const detail = await client.GET("/v1/tasks/{task_id}/detail", { params: { path } });
const state: components["schemas"]["TaskState"] | undefined = detail.data?.state;
assert.equal(state, 1);
assert.equal(detail.data?.config.width, 80);
assert.equal(detail.data?.config.thread_num, 5);

const log = await client.GET("/v1/tasks/{task_id}/log", { params: { path, query: { limit: 10, code: 101 } } });
assert.deepEqual(log.data, { logs: [], total_count: 0 });

const rows = await client.GET("/v1/tasks/{task_id}/download_rows", {
  params: { path, query: { rows: "all" } },
  parseAs: "text",
});
assert.match(rows.data ?? "", /Grace/);

const refused = await client.POST("/v1/tasks/{task_id}/stop", { params: { path } });
assert.equal(refused.response.status, 409);
assert.equal(refused.error?.code, "wrong_state");

const away = await client.POST("/v1/tasks/{task_id}/start", { params: { path } });
assert.equal(away.error?.code, "airflow_unavailable");

await client.POST("/v1/tasks/{task_id}/delete", { params: { path } });
const gone = await client.GET("/v1/tasks/{task_id}/detail", { params: { path } });
assert.equal(gone.error?.code, "not_found");
