package charts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// What the restricted Pod Security profile asks for, of every pod; see
// https://kubernetes.io/docs/concepts/security/pod-security-standards.
func TestPodsAreRestricted(t *testing.T) {
	for ci, all := range matrix(t) {
		for kind, pod := range all.pods() {
			at := ci + ": " + kind
			spec := pod.part("spec")
			equal(t, at+": runAsNonRoot", spec.at("securityContext", "runAsNonRoot"), true)
			equal(t, at+": seccompProfile", spec.at("securityContext", "seccompProfile", "type"), "RuntimeDefault")
			if ci != "service-account" {
				equal(t, at+": automountServiceAccountToken", spec["automountServiceAccountToken"], false)
			}
			for _, key := range []string{"hostNetwork", "hostPID", "hostIPC"} {
				equal(t, at+": "+key, spec[key], nil)
			}
			for _, volume := range spec.parts("volumes") {
				if volume["hostPath"] != nil {
					t.Errorf("%s: %s is a folder of the node", at, volume.text("name"))
				}
			}
			for _, container := range append(spec.parts("containers"), spec.parts("initContainers")...) {
				if strings.HasPrefix(container.text("image"), "registry.example.com/signoff:") {
					isConfined(t, at+": "+container.text("name"), container)
				}
			}
		}
	}
}

func isConfined(t *testing.T, at string, container object) {
	t.Helper()
	context := container.part("securityContext")
	equal(t, at+": allowPrivilegeEscalation", context["allowPrivilegeEscalation"], false)
	equal(t, at+": readOnlyRootFilesystem", context["readOnlyRootFilesystem"], true)
	equal(t, at+": capabilities", context["capabilities"], parse(t, "drop: [ALL]"))
	equal(t, at+": privileged", context["privileged"], nil)
	if mount := named(container.parts("volumeMounts"), "tmp"); mount.text("mountPath") != "/tmp" {
		t.Errorf("%s: no /tmp, and the root is read-only", at)
	}
	if container.text("name") == "signoff" && container.at("resources", "limits", "memory") == nil {
		t.Errorf("%s: memory has no limit", at)
	}
}

// OpenShift's restricted-v2 refuses users and groups that it has not chosen.
func TestUsersOnOpenShift(t *testing.T) {
	fixed := []string{"runAsUser", "runAsGroup", "fsGroup"}
	for what, c := range map[string]struct {
		values values
		fixed  bool
	}{
		"elsewhere":                {values{}, true},
		"by force":                 {values{ci: "openshift"}, false},
		"found out":                {values{args: []string{"--api-versions", "security.openshift.io/v1"}}, false},
		"found out, and forbidden": {values{over: "openshift: {adaptSecurityContext: disabled}", args: []string{"--api-versions", "security.openshift.io/v1"}}, true},
		"by null": {values{args: []string{"--set", "podSecurityContext.runAsUser=null", "--set", "podSecurityContext.runAsGroup=null",
			"--set", "podSecurityContext.fsGroup=null"}}, false},
		"by null in a file": {values{ci: "no-fixed-user"}, false},
	} {
		t.Run(what, func(t *testing.T) {
			for kind, pod := range render(t, c.values).pods() {
				for _, key := range fixed {
					value, has := pod.part("spec", "securityContext")[key]
					if has != c.fixed {
						t.Errorf("%s: %s: %v", kind, key, value)
					}
				}
				mode := 0o444 // nobody's group reads the secrets
				if c.fixed {
					mode = 0o440
				}
				equal(t, kind+": mode of the secrets", configVolume(t, pod)["defaultMode"], mode)
				equal(t, kind+": runAsNonRoot", pod.at("spec", "securityContext", "runAsNonRoot"), true)
			}
		})
	}
}

func TestOnePod(t *testing.T) {
	for ci, all := range matrix(t) {
		set := all.one(t, "StatefulSet").part("spec")
		equal(t, ci+": replicas", set["replicas"], 1)
		equal(t, ci+": podManagementPolicy, without which a rollback waits for a broken pod", set["podManagementPolicy"], "Parallel")
		all.named(t, "Service", set.text("serviceName"))
	}
}

// The API server refuses an upgrade that changes any of these.
func TestWhatMayNeverChangeOfAStatefulSet(t *testing.T) {
	fixed := func(over string) map[string]any {
		spec := render(t, values{over: over}).one(t, "StatefulSet").part("spec")
		return map[string]any{"selector": spec["selector"], "volumeClaimTemplates": spec["volumeClaimTemplates"],
			"serviceName": spec["serviceName"], "podManagementPolicy": spec["podManagementPolicy"]}
	}
	was := fixed("")
	for what, over := range map[string]string{
		"labels and annotations": `
commonLabels: {team: identity}
commonAnnotations: {a: b}
podLabels: {tier: backend}
podAnnotations: {a: b}`,
		"another version": "image: {tag: 0.6.0}",
		"all else": `
backup: {enabled: true}
networkPolicy: {enabled: true}
check: {initContainer: true}
terminationGracePeriodSeconds: 90`,
	} {
		equal(t, what, fixed(over), was)
	}
	text := asYAML(was)
	if strings.Contains(text, "0.6.0") || strings.Contains(text, "helm.sh/chart") {
		t.Errorf("the version is in what may never change:\n%s", text)
	}
}

func TestVolume(t *testing.T) {
	equal(t, "claim", render(t, values{}).one(t, "StatefulSet").at("spec", "volumeClaimTemplates", 0, "spec"),
		parse(t, "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 5Gi}}}"))

	set := render(t, values{ci: "mode-close"}).one(t, "StatefulSet")
	equal(t, "claim of a class", set.at("spec", "volumeClaimTemplates", 0, "spec", "storageClassName"), "fast")
	equal(t, "annotations", set.at("spec", "volumeClaimTemplates", 0, "metadata", "annotations"), parse(t, "example.com/tier: gold"))
	equal(t, "retention", set.at("spec", "persistentVolumeClaimRetentionPolicy"), parse(t, "{whenDeleted: Delete, whenScaled: Delete}"))

	equal(t, "no class", render(t, values{over: "persistence: {storageClass: ''}"}).one(t, "StatefulSet").
		at("spec", "volumeClaimTemplates", 0, "spec", "storageClassName"), "")

	for ci, want := range map[string]string{
		"existing-claim": "persistentVolumeClaim: {claimName: rel-ledger}",
		"no-persistence": "emptyDir: {}",
	} {
		all := render(t, values{ci: ci})
		equal(t, ci+": claims", all.one(t, "StatefulSet").at("spec", "volumeClaimTemplates"), nil)
		data := named(all.pod(t).parts("spec", "volumes"), "data")
		delete(data, "name")
		equal(t, ci, map[string]any(data), parse(t, want))
	}
}

// Between SIGTERM's being due and its being sent, or obeyed, traffic goes elsewhere.
func TestStopping(t *testing.T) {
	const sleeps, flag, neither = "sleep", "flag", "neither"
	for what, c := range map[string]struct {
		values values
		by     string
		delay  int
	}{
		"a new cluster":            {values{args: []string{"--kube-version", "1.36.3"}}, sleeps, 5},
		"the first that can sleep": {values{args: []string{"--kube-version", "1.30.0"}}, sleeps, 5},
		"a vendor's version":       {values{args: []string{"--kube-version", "v1.31.4-eks-2d5f260"}}, sleeps, 5},
		"one that can not":         {values{args: []string{"--kube-version", "1.29.14"}}, flag, 5},
		"as told":                  {values{over: "preStop: {by: sleep, delaySeconds: 7}", args: []string{"--kube-version", "1.29.14"}}, sleeps, 7},
		"as told otherwise":        {values{ci: "stopping"}, flag, 15},
		"no delay":                 {values{over: "preStop: {delaySeconds: 0}"}, neither, 0},
		"a lifecycle":              {values{over: "lifecycle: {preStop: {sleep: {seconds: 5}}}"}, sleeps, 5},
	} {
		t.Run(what, func(t *testing.T) {
			daemon := render(t, c.values).daemon(t)
			args := fmt.Sprint(daemon["args"])
			equal(t, "sleep", daemon.at("lifecycle", "preStop", "sleep", "seconds") == c.delay, c.by == sleeps)
			equal(t, "flag", strings.Contains(args, fmt.Sprintf("--shutdown-delay %ds", c.delay)), c.by == flag)
			equal(t, "any flag", strings.Contains(args, "--shutdown-delay"), c.by == flag)
		})
	}
	for ci, all := range matrix(t) {
		delay, _ := all.daemon(t).at("lifecycle", "preStop", "sleep", "seconds").(int)
		if grace, _ := all.pod(t).at("spec", "terminationGracePeriodSeconds").(int); grace < delay+30 {
			t.Errorf("%s: %d s to stop, of which %d are over before it begins", ci, grace, delay)
		}
	}
}

func TestProbes(t *testing.T) {
	daemon := render(t, values{}).daemon(t)
	for probe, path := range map[string]string{"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"} {
		equal(t, probe, daemon.at(probe, "httpGet"), parse(t, "{path: "+path+", port: admin}"))
	}
	daemon = render(t, values{ci: "probes"}).daemon(t)
	equal(t, "another way to ask takes the place of the first", daemon["livenessProbe"],
		parse(t, "{tcpSocket: {port: admin}, periodSeconds: 30, timeoutSeconds: 10, failureThreshold: 3}"))
	equal(t, "a probe left out", daemon["readinessProbe"], nil)
	equal(t, "one value of a probe", daemon.at("startupProbe", "failureThreshold"), 900)
	equal(t, "the rest of it", daemon.at("startupProbe", "httpGet", "path"), "/livez")
}

// Probes speak what is spoken there: one of plain HTTP to a port with TLS never gets a
// pod ready.
func TestProbesSpeakHTTPSToTheAdminPort(t *testing.T) {
	for name, c := range map[string]struct {
		values values
		want   any // the scheme
	}{
		"no web config":                    {values{}, nil},
		"one in a Secret":                  {values{ci: "admin-tls"}, "HTTPS"},
		"one in a Secret, without TLS":     {values{ci: "admin-tls", over: "adminScheme: http"}, nil},
		"one without TLS":                  {values{ci: "admin-users"}, nil},
		"one with TLS":                     {values{ci: "admin-users", over: "configFiles: {web.yml: 'tls_server_config: {cert_file: a, key_file: b}'}"}, "HTTPS"},
		"a ConfigMap of one's own":         {values{ci: "existing-configmap", over: "adminScheme: ''"}, nil},
		"a ConfigMap of one's own, and so": {values{ci: "existing-configmap"}, "HTTPS"},
	} {
		daemon := render(t, c.values).daemon(t)
		for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
			equal(t, name+": "+probe, daemon.at(probe, "httpGet", "scheme"), c.want)
		}
	}
	daemon := render(t, values{ci: "admin-tls", over: "livenessProbe: {httpGet: {port: other}}\nreadinessProbe: {httpGet: {scheme: HTTP}}\nstartupProbe: {tcpSocket: {port: admin}}"}).daemon(t)
	equal(t, "another port", daemon.at("livenessProbe", "httpGet", "scheme"), nil)
	equal(t, "a scheme of one's own", daemon.at("readinessProbe", "httpGet", "scheme"), "HTTP")
	equal(t, "another way to ask", daemon.at("startupProbe", "httpGet"), nil)
}

func TestImage(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for over, want := range map[string]string{
		"{}":                                      "registry.example.com/signoff:0.6.0",
		"image: {tag: edge}":                      "registry.example.com/signoff:edge",
		"image: {digest: '" + digest + "'}":       "registry.example.com/signoff@" + digest,
		"image: {repository: 'host:5000/a/b'}":    "host:5000/a/b:0.6.0",
		"image: {tag: x, digest: " + digest + "}": "registry.example.com/signoff:x@" + digest,
	} {
		equal(t, over, render(t, values{over: over}).daemon(t)["image"], want)
	}
	all := render(t, values{ci: "image-digest"})
	for kind, pod := range all.pods() {
		equal(t, kind+": who may pull", pod.at("spec", "imagePullSecrets"), parse(t, "[{name: shared}, {name: own}]"))
	}
	equal(t, "pull policy", all.daemon(t)["imagePullPolicy"], "Always")
}

func TestScheduling(t *testing.T) {
	spec := render(t, values{ci: "scheduling"}).pod(t).part("spec")
	for key, want := range map[string]string{
		"priorityClassName":  "high",
		"runtimeClassName":   "gvisor",
		"schedulerName":      "custom",
		"hostAliases":        "[{ip: 192.0.2.1, hostnames: [kafka-0.kafka]}]",
		"dnsPolicy":          `"None"`,
		"dnsConfig":          "{nameservers: [192.0.2.53]}",
		"enableServiceLinks": "true",
		"hostUsers":          "false",
		"nodeSelector":       "{kubernetes.io/arch: amd64}",
		"tolerations":        "[{key: dedicated, operator: Exists}]",
		"topologySpreadConstraints": `
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {app.kubernetes.io/name: signoff, app.kubernetes.io/instance: rel, app.kubernetes.io/component: daemon}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: DoNotSchedule
  labelSelector:
    matchLabels: {app: other}`,
	} {
		equal(t, key, spec[key], parse(t, want))
	}
	equal(t, "affinity", spec.at("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution",
		"nodeSelectorTerms", 0, "matchExpressions", 0, "key"), "rel")
	daemon := named(spec.parts("containers"), "signoff")
	equal(t, "a limit taken away", daemon.part("resources", "limits")["cpu"], nil)

	spec = render(t, values{}).pod(t).part("spec")
	equal(t, "service links", spec["enableServiceLinks"], false)
	if value, has := spec["hostUsers"]; has {
		t.Errorf("hostUsers is %v where nobody set it", value)
	}
	equal(t, "a user namespace", render(t, values{over: "hostUsers: true"}).pod(t).at("spec", "hostUsers"), true)
}

func TestExtras(t *testing.T) {
	all := render(t, values{ci: "extras"})
	daemon := all.daemon(t)
	equal(t, "args", daemon["args"], parse(t, "[run, --config, /etc/signoff/signoff.yaml, --from, earliest]"))
	for kind, pod := range all.pods() {
		first := pod.parts("spec", "containers")[0]
		equal(t, kind+": env", named(first.parts("env"), "HTTPS_PROXY")["value"], "http://proxy.people:3128")
		equal(t, kind+": envFrom", first["envFrom"], parse(t, "[{configMapRef: {name: rel-env}}]"))
		equal(t, kind+": volume", named(pod.parts("spec", "volumes"), "people").at("configMap", "name"), "rel-people")
		equal(t, kind+": mount", named(first.parts("volumeMounts"), "people")["mountPath"], "/etc/signoff-people")
	}
	if named(all.pod(t).parts("spec", "containers"), "sidecar") == nil || named(all.pod(t).parts("spec", "initContainers"), "first") == nil {
		t.Error("a container of the values is not there")
	}
	all.named(t, "ConfigMap", "rel-env")
	all.named(t, "ConfigMap", "rel-signoff-people")
}

func TestCheckBeforeTheDaemon(t *testing.T) {
	equal(t, "unasked", render(t, values{}).pod(t).at("spec", "initContainers"), nil)
	all := render(t, values{ci: "check"})
	check := named(all.pod(t).parts("spec", "initContainers"), "check")
	equal(t, "args", check["args"], parse(t, "[check, --config, /etc/signoff/signoff.yaml]"))
	for _, key := range []string{"image", "volumeMounts", "env", "securityContext"} {
		equal(t, key, check[key], all.daemon(t)[key])
	}
}

func TestHelmTest(t *testing.T) {
	for what, c := range map[string]struct {
		values values
		args   string // of the pod; "": there is none
	}{
		"in a dry run": {values{}, "check --config /etc/signoff/signoff.yaml --send-test http://rel-signoff.people.svc:8080"},
		"in a dry run that says so": {values{over: "config: {mode: dry-run}"},
			"check --config /etc/signoff/signoff.yaml --send-test http://rel-signoff.people.svc:8080"},
		"by TLS": {values{ci: "webhook-tls"}, "check --config /etc/signoff/signoff.yaml --send-test https://rel-signoff.people.svc:8443"},
		"by TLS of one's own": {values{ci: "external-secret"},
			"check --config /etc/signoff/signoff.yaml --send-test https://rel-signoff.people.svc:8080 --ca-file /etc/signoff/secrets/ca.crt"},
		"by another way":    {values{ci: "check"}, "check --config /etc/signoff/signoff.yaml --send-test https://signoff.example.com/events"},
		"without a webhook": {values{ci: "kafka"}, "check --config /etc/signoff/signoff.yaml"},
		"of a config that the chart does not see": {values{ci: "existing-configmap"},
			"check --config /etc/signoff/signoff.yaml --send-test http://rel-signoff.people.svc:8080"},
		"in mode close": {values{ci: "mode-close"}, ""},
		"unwanted":      {values{ci: "no-test"}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			all := render(t, c.values)
			if c.args == "" {
				if len(all.all("Pod")) > 0 {
					t.Error("there is a test")
				}
				return
			}
			pod := all.one(t, "Pod")
			equal(t, "hook", pod.at("metadata", "annotations", "helm.sh/hook"), "test")
			container := pod.parts("spec", "containers")[0]
			equal(t, "command, of an image without a shell", container["command"], nil)
			equal(t, "args", strings.Trim(fmt.Sprint(container["args"]), "[]"), c.args)
			equal(t, "the ledger, which is the daemon's", named(pod.parts("spec", "volumes"), "data").at("emptyDir"), map[string]any{})
		})
	}
}

func TestBackup(t *testing.T) {
	all := render(t, values{ci: "backup"})
	job := all.named(t, "CronJob", "rel-signoff-backup").part("spec")
	for key, want := range map[string]any{"schedule": "5 */6 * * *", "timeZone": "Europe/Lisbon", "suspend": true, "concurrencyPolicy": "Forbid",
		"startingDeadlineSeconds": 600, "successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 5} {
		equal(t, key, job[key], want)
	}
	pod := job.part("jobTemplate", "spec", "template")
	container := pod.parts("spec", "containers")[0]
	equal(t, "args", container["args"], parse(t, `[ledger, backup, /var/lib/signoff-backup, --keep, "28", --config, /etc/signoff/signoff.yaml]`))

	affinity := pod.part("spec", "affinity", "podAffinity").parts("requiredDuringSchedulingIgnoredDuringExecution")[0]
	equal(t, "node", affinity["topologyKey"], "kubernetes.io/hostname")
	if !matches(affinity.part("labelSelector", "matchLabels"), all.pod(t).labels()) {
		t.Error("it does not run where the daemon does, which has the volume")
	}
	equal(t, "the config without its secrets, which a backup does not need", configVolume(t, pod)["sources"], parse(t, "[{configMap: {name: rel-signoff}}]"))
	data := named(container.parts("volumeMounts"), "data")
	equal(t, "the ledger's folder", data["mountPath"], "/var/lib/signoff")
	equal(t, "which SQLite writes to even where it reads", data["readOnly"], nil)
	equal(t, "the ledger's claim", named(pod.parts("spec", "volumes"), "data").at("persistentVolumeClaim", "claimName"), "data-rel-signoff-0")

	claim := all.named(t, "PersistentVolumeClaim", named(pod.parts("spec", "volumes"), "backup").text("persistentVolumeClaim", "claimName"))
	equal(t, "claim", claim["spec"], parse(t, `{accessModes: [ReadWriteMany], storageClassName: "", resources: {requests: {storage: 50Gi}}}`))
	equal(t, "kept", claim.at("metadata", "annotations", "helm.sh/resource-policy"), nil)

	all = render(t, values{over: "backup: {enabled: true}"})
	equal(t, "kept unless told otherwise", all.one(t, "PersistentVolumeClaim").at("metadata", "annotations", "helm.sh/resource-policy"), "keep")

	all = render(t, values{ci: "existing-claim"})
	if len(all.all("PersistentVolumeClaim")) > 0 {
		t.Error("a claim was made beside the one that is there")
	}
	volumes := all.one(t, "CronJob").parts("spec", "jobTemplate", "spec", "template", "spec", "volumes")
	equal(t, "claims of one's own", []any{named(volumes, "data").at("persistentVolumeClaim", "claimName"), named(volumes, "backup").at("persistentVolumeClaim", "claimName")},
		[]any{"rel-ledger", "rel-copies"})
}

// A name may have 63 characters, a StatefulSet's 52: its pods have it as a label
// with a hash behind it. So may a CronJob's, whose jobs have a time behind theirs.
func TestNamesAreShortEnough(t *testing.T) {
	for what, all := range map[string]objects{
		"a long name":         render(t, values{ci: "full-name"}),
		"a long release":      renderAs(t, strings.Repeat("r", 53), values{ci: "full-name", over: "fullnameOverride: ''"}),
		"a long tag":          render(t, values{over: "image: {tag: " + strings.Repeat("t", 62) + "-x}"}),
		"a long chart's name": render(t, values{ci: "everything", over: "nameOverride: " + strings.Repeat("n", 63)}),
	} {
		names := make(map[string]bool)
		for _, o := range all {
			most := 63
			if o.kind() == "StatefulSet" || o.kind() == "CronJob" {
				most = 52
			}
			if name := o.name(); len(name) > most || strings.HasSuffix(name, "-") {
				t.Errorf("%s: %s %s has %d characters, may have %d", what, o.kind(), name, len(name), most)
			}
			if key := o.kind() + "/" + o.name(); names[key] {
				t.Errorf("%s: two of %s", what, key)
			} else {
				names[key] = true
			}
			for key, value := range o.labels() {
				if text := fmt.Sprint(value); len(text) > 63 || strings.HasSuffix(text, "-") {
					t.Errorf("%s: %s: label %s is %s, of %d characters", what, o.kind(), key, text, len(text))
				}
			}
		}
	}
}

func TestNames(t *testing.T) {
	all := render(t, values{ci: "names"})
	for _, o := range all {
		at := o.kind() + " " + o.name()
		if !strings.HasPrefix(o.name(), "rel-leavers") {
			t.Errorf("%s: not of the name that was given", at)
		}
		equal(t, at+": namespace", o.at("metadata", "namespace"), "identity")
		equal(t, at+": label", o.labels()["team"], "identity")
		equal(t, at+": annotation", o.at("metadata", "annotations", "example.com/contact"), "identity@example.com")
		if component := o.labels()["app.kubernetes.io/component"]; component == "never" && o.kind() != "ConfigMap" && o.kind() != "ServiceAccount" {
			t.Errorf("%s: commonLabels took the place of a label that selectors go by", at)
		}
	}
	equal(t, "label of the pod", all.pod(t).labels()["example.com/tier"], "backend")
	equal(t, "annotation of the pod", all.pod(t).at("metadata", "annotations", "example.com/scrape"), "no")

	for release, want := range map[string]string{"rel": "rel-signoff", "signoff": "signoff", "my-signoff": "my-signoff"} {
		equal(t, "release "+release, renderAs(t, release, values{}).one(t, "StatefulSet").name(), want)
	}
}

func TestServiceAccount(t *testing.T) {
	account := render(t, values{ci: "service-account"}).one(t, "ServiceAccount")
	equal(t, "name", account.name(), "closer")
	equal(t, "label", account.labels()["azure.workload.identity/use"], "true")
	equal(t, "token", account["automountServiceAccountToken"], true)
	equal(t, "unasked", render(t, values{}).one(t, "ServiceAccount")["automountServiceAccountToken"], false)

	all := render(t, values{ci: "no-service-account"})
	if len(all.all("ServiceAccount")) > 0 {
		t.Error("one was made")
	}
	equal(t, "the pod's", all.pod(t).at("spec", "serviceAccountName"), "there-already")
	equal(t, "none of the two", render(t, values{over: "serviceAccount: {create: false}"}).pod(t).at("spec", "serviceAccountName"), "default")
	for ci, all := range matrix(t) {
		for _, o := range all {
			if slices.Contains([]string{"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}, o.kind()) {
				t.Errorf("%s: %s: signoff never asks the Kubernetes API", ci, o.kind())
			}
		}
	}
}

func TestEveryObjectSaysWhoseItIs(t *testing.T) {
	fromValues := []string{"ConfigMap", "ExternalSecret", "Certificate"} // of extraObjects: whoever wrote them labels them
	for ci, all := range matrix(t) {
		for _, o := range all {
			if o.labels() == nil && slices.Contains(fromValues, o.kind()) {
				continue
			}
			for _, key := range []string{"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"} {
				if o.labels()[key] == nil {
					t.Errorf("%s: %s %s has no label %s; it has %v", ci, o.kind(), o.name(), key, slices.Sorted(maps.Keys(o.labels())))
				}
			}
			if o.text("metadata", "namespace") == "" {
				t.Errorf("%s: %s %s has no namespace", ci, o.kind(), o.name())
			}
		}
	}
}
