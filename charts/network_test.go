package charts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Who is found by the selectors: the daemon's pod, and never that of a test or a
// backup, which would get the webhook's events.
func TestSelectorsFindTheDaemonAlone(t *testing.T) {
	for ci, all := range matrix(t) {
		pods := all.pods()
		finds := func(what string, selector object) {
			t.Helper()
			for kind, pod := range pods {
				if found := matches(selector, pod.labels()); found != (kind == "StatefulSet") {
					t.Errorf("%s: %s: finds the pod of the %s: %v", ci, what, kind, found)
				}
			}
		}
		finds("StatefulSet", all.one(t, "StatefulSet").part("spec", "selector", "matchLabels"))
		for _, o := range all {
			switch o.kind() {
			case "Service":
				finds(o.name(), o.part("spec", "selector"))
			case "PodDisruptionBudget", "PodMonitor":
				finds(o.kind(), o.part("spec", "selector", "matchLabels"))
			}
		}
	}
}

// Every port that anything leads to is one of the daemon's, by its name.
func TestServicesPortsLeadSomewhere(t *testing.T) {
	for ci, all := range matrix(t) {
		ports := all.daemon(t).parts("ports")
		for _, service := range all.all("Service") {
			for _, port := range service.parts("spec", "ports") {
				if named(ports, port.text("targetPort")) == nil {
					t.Errorf("%s: %s leads to port %v, which the pod does not have", ci, service.name(), port["targetPort"])
				}
			}
		}
		for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
			if port := all.daemon(t).text(probe, "httpGet", "port"); port != "" && named(ports, port) == nil {
				t.Errorf("%s: %s asks port %s, which the pod does not have", ci, probe, port)
			}
		}
	}
}

// Of the admin port only the pages and the API are let out, and only where that is asked
// for.
func TestWhatIsLetOut(t *testing.T) {
	for ci, all := range matrix(t) {
		for _, service := range all.all("Service") {
			if kind := service.text("spec", "type"); kind == "" || kind == "ClusterIP" {
				continue
			}
			for _, port := range service.parts("spec", "ports") {
				equal(t, ci+": "+service.name(), port["targetPort"], "webhook")
			}
		}
		for _, ingress := range all.all("Ingress") {
			port := "webhook"
			if ingress.name() == "rel-signoff-pages" {
				port = "admin"
			}
			for _, path := range ingress.part("spec", "rules", 0, "http").parts("paths") {
				equal(t, ci+": Ingress", path.part("backend", "service")["port"], map[string]any{"name": port})
				equal(t, ci+": metrics or health", strings.HasPrefix(path.text("path"), "/metrics") || strings.HasSuffix(path.text("path"), "z"), false)
			}
		}
		for _, route := range all.all("HTTPRoute") {
			backend := route.part("spec", "rules", 0, "backendRefs", 0)
			service := all.named(t, "Service", backend.text("name"))
			port := "webhook"
			if route.name() == "rel-signoff-pages" {
				port = "admin"
			}
			equal(t, ci+": HTTPRoute", backend["port"], named(service.parts("spec", "ports"), port)["port"])
		}
	}
}

func TestWebhookService(t *testing.T) {
	service := render(t, values{ci: "webhook-service"}).named(t, "Service", "rel-signoff-webhook")
	equal(t, "spec", service["spec"], parse(t, `
type: LoadBalancer
loadBalancerClass: example.com/lb
loadBalancerSourceRanges: [192.0.2.0/24]
externalTrafficPolicy: Local
selector: {app.kubernetes.io/name: signoff, app.kubernetes.io/instance: rel, app.kubernetes.io/component: daemon}
ports: [{name: webhook, port: 8443, targetPort: webhook, protocol: TCP, appProtocol: http, nodePort: 30443}]`))
	equal(t, "none unasked", len(render(t, values{}).all("Service")), 2)
}

func TestIngress(t *testing.T) {
	ingress := render(t, values{ci: "ingress"}).one(t, "Ingress")
	equal(t, "spec", ingress["spec"], parse(t, `
ingressClassName: nginx
tls: [{secretName: signoff-tls, hosts: [rel.example.com]}]
rules:
  - host: rel.example.com
    http:
      paths:
        - path: /events
          pathType: Prefix
          backend: {service: {name: rel-signoff, port: {name: webhook}}}`))
	equal(t, "annotation", ingress.at("metadata", "annotations", "nginx.ingress.kubernetes.io/proxy-body-size"), "1m")
	equal(t, "label", ingress.labels()["example.com/exposed"], "yes")

	var paths []any
	for _, path := range render(t, values{ci: "everything"}).one(t, "Ingress").part("spec", "rules", 0, "http").parts("paths") {
		paths = append(paths, path["path"], path["pathType"])
	}
	equal(t, "every endpoint of the config", paths, []any{"/events", "Exact", "/acme", "Exact"})
}

func TestHTTPRoute(t *testing.T) {
	route := render(t, values{ci: "http-route"}).one(t, "HTTPRoute")
	equal(t, "spec", route["spec"], parse(t, `
parentRefs: [{name: public, namespace: gateways, sectionName: https}]
hostnames: [rel.example.com]
rules:
  - matches: [{path: {type: PathPrefix, value: /events}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [x-forwarded-host]}}]
    timeouts: {request: 30s}
    backendRefs: [{group: "", kind: Service, name: rel-signoff, port: 8080, weight: 1}]`))
	equal(t, "every endpoint of the config", render(t, values{ci: "everything"}).one(t, "HTTPRoute").at("spec", "rules", 0, "matches"), parse(t, `
- path: {type: Exact, value: /events}
- path: {type: Exact, value: /acme}`))
}

// A page that the chart does not let out would be missing for whoever has no way into
// the cluster.
func TestPagesAreLetOut(t *testing.T) {
	all := render(t, values{ci: "pages"})
	ingress, route := all.one(t, "Ingress"), all.one(t, "HTTPRoute")
	equal(t, "hosts", ingress.at("spec", "rules", 0, "host"), "signoff.example.com")
	equal(t, "TLS", ingress.at("spec", "tls"), parse(t, "[{secretName: signoff-pages-tls, hosts: [signoff.example.com]}]"))
	equal(t, "Gateways", route.at("spec", "parentRefs"), parse(t, "[{name: internal, namespace: gateways}]"))
	var out, routed []string
	for _, path := range ingress.part("spec", "rules", 0, "http").parts("paths") {
		out = append(out, path.text("path")+" "+strings.TrimPrefix(path.text("pathType"), "Path"))
	}
	for _, match := range route.part("spec", "rules", 0).parts("matches") {
		routed = append(routed, match.text("path", "value")+" "+strings.TrimPrefix(match.text("path", "type"), "Path"))
	}
	equal(t, "the same by both", routed, out)
	for _, page := range pagesOf(t) {
		if page != "/" && !slices.Contains(out, page+" Prefix") || page == "/" && !slices.Contains(out, "/ Exact") {
			t.Errorf("%s is not let out: %v", page, out)
		}
	}
	equal(t, "none unasked", len(render(t, values{}).all("Ingress"))+len(render(t, values{}).all("HTTPRoute")), 0)
}

// pagesOf are the first parts of the paths that the console has pages at.
func pagesOf(t *testing.T) (all []string) {
	t.Helper()
	for _, file := range []string{"pages/pages.go", "session.go", "oidc.go", "visitor.go", "signin.go", "edges.go", "console.go"} {
		text, err := os.ReadFile("../closer/console/" + file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"(?:GET |POST )?(/[a-z-]*)[^"\n]*"`).FindAllStringSubmatch(string(text), -1) {
			if page := m[1]; !slices.Contains([]string{"/metrics", "/livez", "/readyz"}, page) && !slices.Contains(all, page) {
				all = append(all, page)
			}
		}
	}
	if len(all) < 8 {
		t.Fatalf("found only %v", all)
	}
	return all
}

func TestPodDisruptionBudget(t *testing.T) {
	budget := render(t, values{over: "podDisruptionBudget: {enabled: true}"}).one(t, "PodDisruptionBudget").part("spec")
	equal(t, "maxUnavailable", budget["maxUnavailable"], 1)
	equal(t, "minAvailable, which would block every drain", budget["minAvailable"], nil)
	equal(t, "a broken pod", budget["unhealthyPodEvictionPolicy"], "AlwaysAllow")
	equal(t, "a share", render(t, values{ci: "pdb"}).one(t, "PodDisruptionBudget").at("spec", "maxUnavailable"), "50%")
	equal(t, "none unasked", len(render(t, values{}).all("PodDisruptionBudget")), 0)
}

func TestNetworkPolicyDeniesAllElse(t *testing.T) {
	policy := render(t, values{over: "networkPolicy: {enabled: true}"}).named(t, "NetworkPolicy", "rel-signoff").part("spec")
	equal(t, "spec", map[string]any(policy), parse(t, `
podSelector:
  matchLabels: {app.kubernetes.io/name: signoff, app.kubernetes.io/instance: rel, app.kubernetes.io/component: daemon}
policyTypes: [Ingress, Egress]
ingress:
  - ports: [{port: 8080, protocol: TCP}]
  - ports: [{port: 9090, protocol: TCP}]
    from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
egress:
  - ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
  - ports: [{port: 443, protocol: TCP}]`))
	equal(t, "none unasked", len(render(t, values{}).all("NetworkPolicy")), 0)
}

func TestNetworkPolicyGoesByTheConfig(t *testing.T) {
	for ci, want := range map[string][]int{
		"kafka":      {53, 9093, 9094, 443},
		"everything": {53, 9093, 9094, 443, 443, 8443, 8446}, // Docusign, and the receiver of outcomes; who is asked who signs in is the last
	} {
		var ports []int
		for _, way := range render(t, values{ci: ci}).named(t, "NetworkPolicy", "rel-signoff").parts("spec", "egress") {
			for _, port := range way.parts("ports") {
				if port["protocol"] == "TCP" {
					ports = append(ports, port["port"].(int)) //nolint:forcetypeassert // a test may fail so
				}
			}
		}
		equal(t, ci, ports, want)
	}
	ingress := render(t, values{ci: "kafka"}).named(t, "NetworkPolicy", "rel-signoff").parts("spec", "ingress")
	equal(t, "no webhook, no way in to one", ingress[0].at("ports", 0, "port"), 9090)
}

func TestNetworkPolicyByTheValues(t *testing.T) {
	policy := render(t, values{ci: "mappings"}).named(t, "NetworkPolicy", "rel-signoff").part("spec")
	equal(t, "ingress", policy["ingress"], parse(t, `
- ports: [{port: 8080, protocol: TCP}]
  from:
    - ipBlock: {cidr: 192.0.2.0/24}
    - podSelector: {matchLabels: {app.kubernetes.io/name: signoff, app.kubernetes.io/instance: rel, app.kubernetes.io/component: test}}
- ports: [{port: 9090, protocol: TCP}]
  from: [{podSelector: {matchLabels: {app: prometheus}}}]
- from: [{podSelector: {matchLabels: {app: console}}}]
  ports: [{port: 9090}]`))
	equal(t, "egress", policy["egress"], parse(t, `
- ports: [{port: 5353, protocol: UDP}, {port: 5353, protocol: TCP}]
  to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: openshift-dns}}}]
- ports: [{port: 9092, protocol: TCP}]
  to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kafka}}}]
- ports: [{port: 3128, protocol: TCP}]
  to: [{ipBlock: {cidr: 198.51.100.7/32}}]
- ports: [{port: 8444, protocol: TCP}]
  to: [{ipBlock: {cidr: 203.0.113.0/24}}]
- ports: [{port: 8445, protocol: TCP}]
  to: [{ipBlock: {cidr: 203.0.113.0/24}}]
- ports: [{port: 8446, protocol: TCP}]
  to: [{ipBlock: {cidr: 203.0.113.0/24}}]
- to: [{ipBlock: {cidr: 10.0.0.0/8}}]
  ports: [{port: 8080}]`))
	equal(t, "who scrapes, and who leads to the pages", render(t, values{ci: "pages"}).named(t, "NetworkPolicy", "rel-signoff").part("spec")["ingress"], parse(t, `
- ports: [{port: 8080, protocol: TCP}]
- ports: [{port: 9090, protocol: TCP}]
  from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}`))
	equal(t, "who would lead to pages that are not let out", render(t, values{over: "networkPolicy: {enabled: true, ingress: {admin: {from: []}, pages: {from: [{podSelector: {}}]}}}"}).
		named(t, "NetworkPolicy", "rel-signoff").part("spec")["ingress"], parse(t, `[{ports: [{port: 8080, protocol: TCP}]}]`))
	equal(t, "nobody scrapes", len(render(t, values{over: "networkPolicy: {enabled: true, ingress: {admin: {from: []}}}"}).
		named(t, "NetworkPolicy", "rel-signoff").parts("spec", "ingress")), 1)
}

// A pod of the release that no policy is about could talk to anybody.
func TestNetworkPoliciesAreAboutEveryPod(t *testing.T) {
	for _, ci := range []string{"backup", "everything"} {
		all := render(t, values{ci: ci})
		for kind, pod := range all.pods() {
			policies := all.all("NetworkPolicy")
			about := slices.IndexFunc(policies, func(p object) bool { return matches(p.part("spec", "podSelector", "matchLabels"), pod.labels()) })
			if about < 0 {
				t.Errorf("%s: no policy is about the pod of the %s", ci, kind)
				continue
			}
			equal(t, fmt.Sprintf("%s: policyTypes of %s", ci, kind), policies[about].at("spec", "policyTypes"), []any{"Ingress", "Egress"})
		}
	}
	all := render(t, values{ci: "everything"})
	backup := all.named(t, "NetworkPolicy", "rel-signoff-backup").part("spec")
	equal(t, "a backup's ways", []any{backup["ingress"], backup["egress"]}, []any{nil, nil})
	test := all.named(t, "NetworkPolicy", "rel-signoff-test").parts("spec", "egress")
	last := test[len(test)-1]
	if !matches(last.part("to", 0, "podSelector", "matchLabels"), all.pod(t).labels()) {
		t.Error("helm test has no way to the webhook")
	}
}
