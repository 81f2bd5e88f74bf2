package charts

import (
	"strings"
	"testing"
)

// What is refused, and with which words: by the schema or by the chart itself.
func TestRefused(t *testing.T) {
	for what, c := range map[string]struct {
		values values
		says   string
	}{
		"no image": {
			values{over: "image: {repository: null}"}, "/image"},
		"an image with its tag": {
			values{over: "image: {repository: 'example.com/signoff:1'}"}, "image.repository: example.com/signoff:1: only registry and name; a tag belongs into image.tag"},
		"an image with its digest": {
			values{over: "image: {repository: 'example.com:5000/signoff@sha256:0'}"}, "a digest into image.digest"},
		"an image of no name": {
			values{over: "image: {repository: 'oci://example.com/signoff'}"}, "image.repository: oci://example.com/signoff: only registry and name"},
		"a digest that is none": {
			values{over: "image: {digest: latest}"}, "/image/digest"},
		"an unknown value": {
			values{over: "podDisruptionBudgets: {}"}, "podDisruptionBudgets"},
		"an unknown value within another": {
			values{over: "serviceMonitor: {labels: {release: x}}"}, "labels"},
		"several replicas, which do not work yet": {
			values{over: "replicaCount: 2"}, "replicaCount"},
		"a strategy": {
			values{over: "strategy: {type: Recreate}"}, "strategy"},
		"autoscaling": {
			values{over: "autoscaling: {enabled: true}"}, "autoscaling"},
		"KEDA": {
			values{over: "keda: {enabled: true}"}, "keda"},
		"no config": {
			values{ci: "existing-configmap", over: "existingConfigMap: ''"}, "config is empty"},
		"a config of nothing": {
			values{over: "config: null"}, "missing property 'config'"},
		"a mode that there is not": {
			values{over: "config: {mode: live}"}, "config.mode: live: neither dry-run, which closes nobody, nor close"},
		"a secret's file where signoff's own README has it": {
			values{over: "config: {docusign: {private_key_file: /run/secrets/docusign.pem}}"},
			"config.docusign.private_key_file: /run/secrets/docusign.pem: nothing is mounted there: items of secrets are files below /etc/signoff/secrets"},
		"two configs": {
			values{over: "existingConfigMap: mine"}, "config and existingConfigMap are both set"},
		"an unknown key of the config": {
			values{over: "config: {bacth: {interval: 5m}}"}, "bacth"},
		"a key of the config in the wrong place": {
			values{over: "config: {guard: {interval: 5m}}"}, "interval"},
		"a config without Docusign": {
			values{over: "config: {docusign: null}"}, "docusign"},
		"a config without a source": {
			values{over: "config: {webhook: null}"}, "neither kafka nor webhook"},
		"a ledger beside the volume": {
			values{over: "config: {ledger: 'sqlite:///tmp/ledger.db'}"}, "config.ledger"},
		"metrics for nobody": {
			values{over: "config: {admin: {listen: '127.0.0.1:9090'}}"}, "config.admin.listen"},
		"a webhook for nobody": {
			values{over: "config: {webhook: {listen: 'localhost:8080'}}"}, "config.webhook.listen"},
		"a secret's file that no Secret has": {
			values{over: "secrets: {webhook: null}"},
			"config.webhook.endpoints[0].auth.bearer_file: /etc/signoff/secrets/webhook-tokens: no item of secrets makes this file"},
		"a secret's file that has another name": {
			values{over: "config: {docusign: {private_key_file: /etc/signoff/secrets/key.pem}}"},
			"config.docusign.private_key_file: /etc/signoff/secrets/key.pem"},
		"a mapping that is not there": {
			values{ci: "mappings", over: "configFiles: {acme.cel: null}"}, "config.events.mappings[0].file: /etc/signoff/acme.cel: neither configFiles nor secrets"},
		"two Secrets with the same file": {
			values{over: "secrets: {other: {existingSecret: other, items: {key: docusign.pem}}}"}, "docusign.pem is the file of another item as well"},
		"a Secret without its name": {
			values{over: "secrets: {webhook: {existingSecret: ''}}"}, "existingSecret"},
		"a Secret's file outside of the folder": {
			values{over: "secrets: {webhook: {items: {tokens: ../signoff.yaml}}}"}, "items"},
		"mode close without a volume": {
			values{ci: "mode-close", over: "persistence: {enabled: false}"}, "persistence.enabled: false with config.mode: close"},
		"less time to stop than a batch may take": {
			values{over: "{preStop: {delaySeconds: 15}, terminationGracePeriodSeconds: 44}"}, "terminationGracePeriodSeconds: 44: less than the 45"},
		"less time to stop than it can ever take": {
			values{over: "terminationGracePeriodSeconds: 29"}, "terminationGracePeriodSeconds"},
		"a budget that nothing can be taken from": {
			values{ci: "pdb", over: "podDisruptionBudget: {maxUnavailable: 0}"}, "maxUnavailable"},
		"a budget of no share": {
			values{ci: "pdb", over: "podDisruptionBudget: {maxUnavailable: 0%}"}, "maxUnavailable"},
		"a budget that keeps a node from being drained": {
			values{ci: "pdb", over: "podDisruptionBudget: {minAvailable: 1}"}, "minAvailable"},
		"every metric twice": {
			values{ci: "service-monitor", over: "podMonitor: {enabled: true}"}, "serviceMonitor and podMonitor are both enabled"},
		"a ServiceMonitor in a cluster that knows none": {
			values{ci: "service-monitor", over: "serviceMonitor: {renderMode: failIfMissing}"}, "knows no ServiceMonitor"},
		"alerts without runbooks": {
			values{over: "prometheusRule: {enabled: true}"}, "runbookUrl"},
		"a rule by a wrong name": {
			values{ci: "prometheus-rule", over: "prometheusRule: {rules: {Foo: {enabled: false}}}"}, "'Foo' does not match pattern"},
		"an Ingress without a webhook": {
			values{ci: "kafka", over: "ingress: {enabled: true, hosts: [a.example.com]}"}, "config.webhook is not set"},
		"an Ingress without a host": {
			values{over: "ingress: {enabled: true}"}, "ingress.hosts: not set"},
		"an Ingress of a config that the chart does not see": {
			values{ci: "existing-configmap", over: "ingress: {paths: []}"}, "ingress.paths: not set"},
		"a route without a Gateway": {
			values{over: "httpRoute: {enabled: true}"}, "httpRoute.parentRefs: not set"},
		"pages that nobody could sign in to": {
			values{over: "pages: {ingress: {enabled: true, hosts: [a.example.com]}}"}, "nobody could sign in"},
		"pages at no host": {
			values{ci: "pages", over: "pages: {ingress: {hosts: []}}"}, "pages.ingress.hosts: not set"},
		"pages without a Gateway": {
			values{ci: "pages", over: "pages: {httpRoute: {parentRefs: []}}"}, "pages.httpRoute.parentRefs: not set"},
		"pages of a Gateway at no host": {
			values{ci: "pages", over: "pages: {httpRoute: {hostnames: []}}"}, "pages.httpRoute.hostnames: not set"},
		"a backup of nothing": {
			values{ci: "no-persistence", over: "backup: {enabled: true}"}, "backup.enabled: the ledger has no volume"},
		"a backup of a volume for one pod": {
			values{ci: "backup", over: "persistence: {accessModes: [ReadWriteOncePod]}"}, "ReadWriteOncePod"},
		"a cluster that is too old": {
			values{args: []string{"--kube-version", "1.26.15"}}, "1.27"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := c.values.template(t, "rel")
			switch {
			case err == nil:
				t.Error("taken")
			case !strings.Contains(err.Error(), c.says):
				t.Errorf("refused with %q, want %q in it", err, c.says)
			}
		})
	}
}

// Whoever skips the schema is told the same by the chart, where it cannot go on.
func TestRefusedWithoutSchema(t *testing.T) {
	v := values{over: "image: {repository: null}", args: []string{"--skip-schema-validation"}}
	_, err := v.template(t, "rel")
	if err == nil || !strings.Contains(err.Error(), "image.repository: not set: nothing is published yet") {
		t.Errorf("no image: %v", err)
	}
}

// What the chart cannot know is left to signoff.
func TestTakenThoughTheChartCannotKnow(t *testing.T) {
	for what, over := range map[string]string{
		"a mode from the environment":         "config: {mode: '${MODE}'}",
		"a secret that something else mounts": "{config: {docusign: {private_key_file: /run/secrets/of/key.pem}}, extraVolumeMounts: [{name: of, mountPath: /run/secrets/of}]}",
		"a secret that an injector brings":    "config: {docusign: {private_key_file: /vault/secrets/key.pem}}",
	} {
		t.Run(what, func(t *testing.T) { render(t, values{over: over}) })
	}
}

// As a dependency of another chart, it gets values that are not its own.
func TestTakenAsASubchart(t *testing.T) {
	render(t, values{over: "{enabled: true, global: {imageRegistry: example.com, of: {others: 1}}}"})
}
