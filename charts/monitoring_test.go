package charts

import (
	"testing"
)

// A ServiceMonitor finds the Service with the metrics, and no other: one that finds
// none is the commonest reason why a target is not there.
func TestServiceMonitorFindsTheService(t *testing.T) {
	for ci, all := range matrix(t) {
		for _, monitor := range all.all("ServiceMonitor") {
			spec := monitor.part("spec")
			var found []object
			for _, service := range all.all("Service") {
				namespaces, _ := spec.at("namespaceSelector", "matchNames").([]any)
				if matches(spec.part("selector", "matchLabels"), service.labels()) && len(namespaces) == 1 && namespaces[0] == service.at("metadata", "namespace") {
					found = append(found, service)
				}
			}
			if len(found) != 1 {
				t.Errorf("%s: the ServiceMonitor finds %d Services", ci, len(found))
				continue
			}
			equal(t, ci+": which is job", found[0].name(), all.one(t, "StatefulSet").name())
			if endpoint := spec.part("endpoints", 0); named(found[0].parts("spec", "ports"), endpoint.text("port")) == nil {
				t.Errorf("%s: the Service has no port %s", ci, endpoint.text("port"))
			}
		}
	}
}

func TestServiceMonitor(t *testing.T) {
	monitor := render(t, values{ci: "service-monitor"}).one(t, "ServiceMonitor")
	equal(t, "label that kube-prometheus-stack selects by", monitor.labels()["release"], "prometheus")
	equal(t, "namespace", monitor.at("metadata", "namespace"), "monitoring")
	equal(t, "annotations", monitor.at("metadata", "annotations"), parse(t, "example.com/owner: sre"))
	equal(t, "spec", monitor["spec"], parse(t, `
namespaceSelector: {matchNames: [people]}
selector:
  matchLabels: {app.kubernetes.io/name: signoff, app.kubernetes.io/instance: rel, app.kubernetes.io/component: daemon}
jobLabel: app.kubernetes.io/name
sampleLimit: 20000
scrapeClass: internal
scrapeProtocols: [PrometheusProto, OpenMetricsText1.0.0]
targetLabels: [app.kubernetes.io/version]
endpoints:
  - port: admin
    path: /metrics
    scheme: https
    honorLabels: true
    interval: 30s
    scrapeTimeout: 10s
    tlsConfig: {insecureSkipVerify: true}
    authorization: {credentials: {name: prometheus-signoff, key: token}}
    relabelings: [{sourceLabels: [__meta_kubernetes_pod_node_name], targetLabel: node}]
    metricRelabelings: [{sourceLabels: [__name__], regex: go_.*, action: drop}]`))
	label := render(t, values{ci: "service-monitor", over: "serviceMonitor: {additionalLabels: {app.kubernetes.io/name: x}}"}).one(t, "ServiceMonitor").labels()
	equal(t, "a label of theirs before ours, since nothing selects by it but Prometheus", label["app.kubernetes.io/name"], "x")
}

func TestPodMonitor(t *testing.T) {
	all := render(t, values{ci: "pod-monitor"})
	spec := all.one(t, "PodMonitor").part("spec")
	endpoint := spec.part("podMetricsEndpoints", 0)
	if named(all.daemon(t).parts("ports"), endpoint.text("port")) == nil {
		t.Errorf("the pod has no port %s", endpoint.text("port"))
	}
	equal(t, "job, as a ServiceMonitor has it, and what the values have", endpoint["relabelings"], parse(t, `
- {targetLabel: job, replacement: rel-signoff}
- {sourceLabels: [__meta_kubernetes_pod_node_name], targetLabel: node}`))
	equal(t, "labels", spec["podTargetLabels"], parse(t, "[app.kubernetes.io/version]"))

	all = render(t, values{ci: "pod-monitor-job", args: []string{"--api-versions", "monitoring.coreos.com/v1/PodMonitor"}})
	spec = all.one(t, "PodMonitor").part("spec")
	equal(t, "a job of one's own", spec["jobLabel"], "app.kubernetes.io/instance")
	equal(t, "which nothing takes away", spec.at("podMetricsEndpoints", 0, "relabelings"), nil)
}

func TestMonitorsAskAsTheAdminPortWants(t *testing.T) {
	service := render(t, values{ci: "admin-tls"}).one(t, "ServiceMonitor").part("spec", "endpoints", 0)
	equal(t, "scheme", service["scheme"], "https")
	equal(t, "user", service["basicAuth"], parse(t, "{username: {name: prometheus-signoff, key: username}, password: {name: prometheus-signoff, key: password}}"))
	equal(t, "certificate", service.at("tlsConfig", "keySecret"), parse(t, "{name: prometheus-signoff, key: tls.key}"))
	pod := render(t, values{ci: "admin-users"}).one(t, "PodMonitor").part("spec", "podMetricsEndpoints", 0)
	equal(t, "scheme without TLS", pod["scheme"], "http")
	equal(t, "token", pod["authorization"], parse(t, "{credentials: {name: prometheus-signoff, key: token}}"))
	over := render(t, values{ci: "admin-tls", over: "serviceMonitor: {scheme: http}"}).one(t, "ServiceMonitor").part("spec", "endpoints", 0)
	equal(t, "a scheme of one's own", over["scheme"], "http")
}

func TestMonitorsWhereTheClusterKnowsThem(t *testing.T) {
	const known = "monitoring.coreos.com/v1/ServiceMonitor"
	for what, c := range map[string]struct {
		mode string
		args []string
		made int
	}{
		"always":                    {"alwaysRender", nil, 1},
		"skipped":                   {"skipIfMissing", nil, 0},
		"not skipped where it is":   {"skipIfMissing", []string{"--api-versions", known}, 1},
		"not a failure where it is": {"failIfMissing", []string{"--api-versions", known}, 1},
	} {
		all := render(t, values{ci: "service-monitor", over: "serviceMonitor: {renderMode: " + c.mode + "}", args: c.args})
		equal(t, what, len(all.all("ServiceMonitor")), c.made)
	}
}
