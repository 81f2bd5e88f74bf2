package charts

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// configOf is the config file in a release's ConfigMap.
func configOf(t *testing.T, all objects) object {
	t.Helper()
	config, _ := parse(t, all.named(t, "ConfigMap", "rel-signoff").text("data", "signoff.yaml")).(map[string]any)
	return config
}

func TestConfigHasWhatMustBeSoInAPod(t *testing.T) {
	config := configOf(t, render(t, values{}))
	equal(t, "ledger", config.at("ledger"), "sqlite:///var/lib/signoff/ledger.db")
	equal(t, "admin.listen", config.at("admin", "listen"), "0.0.0.0:9090")
	equal(t, "webhook.listen", config.at("webhook", "listen"), ":8080")

	config = configOf(t, render(t, values{ci: "kafka"}))
	equal(t, "webhook of a config without one", config.at("webhook"), nil)
}

func TestConfigKeepsWhatIsGiven(t *testing.T) {
	all := render(t, values{ci: "webhook-tls"})
	config := configOf(t, all)
	equal(t, "admin.listen", config.at("admin", "listen"), ":9191")
	equal(t, "webhook.listen", config.at("webhook", "listen"), ":9443")
	equal(t, "ports", all.daemon(t).at("ports"), parse(t, `
- {name: admin, containerPort: 9191, protocol: TCP}
- {name: webhook, containerPort: 9443, protocol: TCP}`))
	service := all.named(t, "Service", "rel-signoff")
	equal(t, "ports of the Service", service.at("spec", "ports"), parse(t, `
- {name: admin, port: 9100, targetPort: admin, protocol: TCP, appProtocol: http}
- {name: webhook, port: 8443, targetPort: webhook, protocol: TCP, appProtocol: https}`))
}

func TestConfigsNumbersStayWhole(t *testing.T) {
	text := render(t, values{ci: "everything"}).named(t, "ConfigMap", "rel-signoff").text("data", "signoff.yaml")
	if !strings.Contains(text, "max: 2000000\n") {
		t.Errorf("2000000 became something else:\n%s", text)
	}
}

func TestConfigChangeRestartsThePod(t *testing.T) {
	sum := func(over string) any {
		return render(t, values{ci: "mappings", over: over}).pod(t).at("metadata", "annotations", "checksum/config")
	}
	was := sum("")
	if was == nil {
		t.Fatal("the pod has no checksum of the config")
	}
	equal(t, "the same again", sum("commonLabels: {team: identity}"), was)
	for what, over := range map[string]string{
		"a key":     "config: {log: {level: debug}}",
		"a mapping": `configFiles: {acme.cel: "[]"}`,
	} {
		if sum(over) == was {
			t.Errorf("%s of the config changed, and not the checksum", what)
		}
	}
	equal(t, "left to the daemon", sum("restartOnConfigChange: false"), nil)
}

func TestConfigMapOfOnesOwn(t *testing.T) {
	all := render(t, values{ci: "existing-configmap"})
	if len(all.all("ConfigMap")) > 0 {
		t.Error("a ConfigMap was made besides")
	}
	equal(t, "what is mounted", configVolume(t, all.pod(t)).at("sources", 0), parse(t, "configMap: {name: rel-config}"))
}

// configVolume is the projected volume of config and secrets in a pod.
func configVolume(t *testing.T, pod object) object {
	t.Helper()
	volume := named(pod.parts("spec", "volumes"), "config").part("projected")
	if volume == nil {
		t.Fatal("config is not a projected volume")
	}
	return volume
}

// A Secret gets in as a file of the projected volume, and by no other way.
func TestSecretsAreFilesAlone(t *testing.T) {
	for ci, all := range matrix(t) {
		if len(all.all("Secret")) > 0 {
			t.Errorf("%s: a Secret is made", ci)
		}
		for kind, pod := range all.pods() {
			for _, volume := range pod.parts("spec", "volumes") {
				if volume["secret"] != nil {
					t.Errorf("%s: %s: %s mounts a Secret by itself", ci, kind, volume.text("name"))
				}
			}
			for _, container := range append(pod.parts("spec", "containers"), pod.parts("spec", "initContainers")...) {
				for _, list := range []string{"env", "envFrom"} {
					if text := asYAML(container[list]); strings.Contains(text, "secret") {
						t.Errorf("%s: %s: %s: a Secret in %s: %s", ci, kind, container.text("name"), list, text)
					}
				}
			}
		}
	}
}

func TestSecretsFiles(t *testing.T) {
	all := render(t, values{ci: "everything"})
	volume := configVolume(t, all.pod(t))
	equal(t, "mode", volume.at("defaultMode"), 0o440)
	equal(t, "sources", volume.at("sources"), parse(t, `
- configMap: {name: rel-signoff}
- secret: {name: rel-docusign, items: [{key: private-key.pem, path: secrets/docusign.pem}]}
- secret:
    name: signoff-kafka
    items: [{key: ca.crt, path: secrets/kafka/ca.crt}, {key: password, path: secrets/kafka/password}]
- secret:
    name: signoff-rest
    optional: true
    items:
      - {key: acme, path: secrets/acme}
      - {key: issuer-ca, path: secrets/issuer-ca}
      - {key: oidc, path: secrets/oidc}
      - {key: outcomes, path: secrets/outcomes}
      - {key: scim, path: secrets/scim}
      - {key: tokens, path: secrets/tokens}
      - {key: webhook-tokens, path: secrets/webhook-tokens}`))
	for kind, pod := range all.pods() {
		for _, container := range append(pod.parts("spec", "containers"), pod.parts("spec", "initContainers")...) {
			equal(t, kind+": mount of "+container.text("name"), container.at("volumeMounts", 0),
				parse(t, "{name: config, mountPath: /etc/signoff, readOnly: true}"))
		}
	}
}

// What the chart makes of a config must be one to signoff itself. `signoff map`
// reads a config as the daemon does, and asks nobody else.
func TestSignoffTakesTheConfig(t *testing.T) {
	rendered := matrix(t)
	signoff := filepath.Join(t.TempDir(), "signoff")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", signoff, "../cmd/signoff").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	payload := filepath.Join(t.TempDir(), "payload.json")
	write(t, payload, `{"events": []}`)
	run := func(etc string) string {
		cmd := exec.CommandContext(t.Context(), signoff, "map", "--config", filepath.Join(etc, "signoff.yaml"), "--mapping", filepath.Join(etc, "none.cel"), payload)
		cmd.Env = append(os.Environ(), "KAFKA_USER=signoff")
		out, err := cmd.CombinedOutput()
		if err == nil {
			return ""
		}
		return string(out)
	}
	for ci, all := range rendered {
		if ci == "existing-configmap" {
			continue
		}
		etc := t.TempDir()
		install(t, etc, all.named(t, "ConfigMap", all.one(t, "StatefulSet").name()).part("data"))
		write(t, filepath.Join(etc, "none.cel"), "[]")
		if said := run(etc); said != "" {
			t.Errorf("%s: signoff refuses the config: %s", ci, said)
		}
	}
	etc := t.TempDir()
	install(t, etc, object{"signoff.yaml": "no_such_key: 1\n"})
	write(t, filepath.Join(etc, "none.cel"), "[]")
	if said := run(etc); !strings.Contains(said, "no_such_key") {
		t.Errorf("a wrong config is not refused: %q", said)
	}
}

var below = regexp.MustCompile(`/etc/signoff/[^\s,}"]+`)

// install writes the files of a ConfigMap to a folder that stands for /etc/signoff,
// and empty ones for the secrets that the config names.
func install(t *testing.T, etc string, files object) {
	t.Helper()
	for name := range files {
		text := files.text(name)
		for _, file := range below.FindAllString(text, -1) {
			if strings.HasPrefix(file, "/etc/signoff/secrets/") {
				secret := "# a secret"
				if strings.HasSuffix(file, "-ca") { // whoever is vouched for by it is trusted
					secret = authority(t)
				}
				write(t, filepath.Join(etc, strings.TrimPrefix(file, "/etc/signoff/")), secret)
			}
		}
		write(t, filepath.Join(etc, name), strings.ReplaceAll(text, "/etc/signoff/", etc+"/"))
	}
}

// authority is a certificate in PEM.
func authority(t *testing.T) string {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
