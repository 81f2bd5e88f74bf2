package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

var commit = about{version: "1.2.3", revision: "abc", at: time.Unix(1_800_000_000, 0).UTC()}

// written is an image of this test's own binary, for both architectures.
func written(t *testing.T) (out, digest string) {
	t.Helper()
	out = t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bill, err := billOf(self, commit)
	if err != nil {
		t.Fatal(err)
	}
	var images []platformImage
	for _, architecture := range architectures {
		image, err := pack(self, bill, architecture, commit)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, platformImage{image, architecture})
	}
	if digest, err = write(out, images, commit, "amd64"); err != nil {
		t.Fatal(err)
	}
	return out, digest
}

func TestImage(t *testing.T) {
	out, digest := written(t)
	if _, again := written(t); again != digest {
		t.Errorf("the second is %s, the first %s", again, digest)
	}
	path, err := layout.FromPath(filepath.Join(out, "oci"))
	if err != nil {
		t.Fatal(err)
	}
	outer, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	names, err := outer.IndexManifest()
	if err != nil || len(names.Manifests) != 1 || names.Manifests[0].Digest.String() != digest {
		t.Fatalf("the layout has %v (%v), want %s", names, err, digest)
	}
	index, err := outer.ImageIndex(names.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	all, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, m := range all.Manifests {
		platforms = append(platforms, m.Platform.String())
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		checkImage(t, image, m.Platform.Architecture)
	}
	if !slices.Equal(platforms, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("it is for %v", platforms)
	}
}

func checkImage(t *testing.T, image v1.Image, architecture string) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	if config.Architecture != architecture || c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{command}) || c.Cmd != nil {
		t.Errorf("%s: %+v", architecture, config)
	}
	if l := c.Labels; l["org.opencontainers.image.version"] != "1.2.3" || l["org.opencontainers.image.revision"] != "abc" ||
		l["org.opencontainers.image.created"] != "2027-01-15T08:00:00Z" || l["org.opencontainers.image.licenses"] != "Apache-2.0" {
		t.Errorf("labels: %v", l)
	}
	files := make(map[string]*tar.Header)
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for r := tar.NewReader(content); ; {
			header, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			files[header.Name] = header
		}
	}
	for name, want := range map[string]struct {
		mode  int64
		owner int
		least int64 // bytes
	}{
		"usr/local/bin/signoff": {0o755, 0, 1 << 20}, billPath: {0o644, 0, 1000}, roots: {0o644, 0, 100_000}, "tmp/": {0o1777, 0, 0},
		"var/lib/signoff/": {0o750, nobody, 0}, "etc/passwd": {0o644, 0, 10}, "etc/signoff/": {0o755, 0, 0},
	} {
		h := files[name]
		if h == nil || h.Mode != want.mode || h.Uid != want.owner || h.Gid != want.owner || h.Size < want.least || !h.ModTime.Equal(commit.at) {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

// The list names what was linked, each with the hash that go.sum has.
func TestBill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := billOf(self, commit)
	if err != nil {
		t.Fatal(err)
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(text), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if bom.SpecVersion != cyclonedx.SpecVersion1_6 || bom.Metadata.Component.Name != "signoff" || bom.Metadata.Component.Version != "1.2.3" {
		t.Errorf("it is about %+v", bom.Metadata.Component)
	}
	at := slices.IndexFunc(*bom.Components, func(c cyclonedx.Component) bool { return c.Name == "github.com/google/go-containerregistry" })
	if at < 0 || (*bom.Components)[at].PackageURL != "pkg:golang/github.com/google/go-containerregistry@v0.22.1" || len(*(*bom.Components)[at].Hashes) != 1 {
		t.Errorf("it lists %+v", *bom.Components)
	}
	if (*bom.Components)[0].Name != "go" {
		t.Error("it does not list Go")
	}
}
