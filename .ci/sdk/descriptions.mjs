// Docusign's API descriptions, mended where they contradict what its own
// clients and samples do.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

// mended writes the two descriptions into a folder and returns their paths.
export function mended(shared, folder) {
  const write = (name, mend) => {
    const description = JSON.parse(readFileSync(join(shared, "docusign", name), "utf8"));
    mend(description);
    writeFileSync(join(folder, name), JSON.stringify(description));
    return join(folder, name);
  };
  return {
    esignature: write("esignature-users.current-derived.swagger.json", (d) => {
      // It names no media types, and without them no body would be allowed.
      for (const operation of Object.values(d.paths).flatMap(Object.values).filter(({ responses }) => responses)) {
        operation.consumes = operation.produces = ["application/json"];
      }
    }),
    admin: write("admin-users.swagger.json", (d) => {
      const close = d.paths["/v2/organizations/{organizationId}/imports/bulk_users/close"].post;
      // It says multipart/form-data. Docusign's samples and both of its clients
      // send the file as it is.
      close.consumes = ["text/csv", "application/octet-stream"];
      const file = { name: "file", in: "body", required: true, schema: { type: "string" } };
      close.parameters = close.parameters.map((parameter) => (parameter.in === "formData" ? file : parameter));
      // It declares the results to be CSV, and an object.
      const results = d.paths["/v2/organizations/{organizationId}/imports/bulk_users/{importId}/results_csv"].get;
      results.responses["200"].schema = { type: "string" };
    }),
  };
}
