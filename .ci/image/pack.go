package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	nobody   = 65532 // the user and group that signoff runs as: the usual number of somebody without rights
	command  = "/usr/local/bin/signoff"
	billPath = "usr/share/sbom/signoff.cdx.json"
	roots    = "etc/ssl/certs/ca-certificates.crt"
	tag      = "localhost/signoff:"
)

// platformImage is the image of an architecture.
type platformImage struct {
	v1.Image
	architecture string
}

// file is a file of a layer, or a folder if it has no text.
type file struct {
	path  string
	mode  int64
	owner int
	text  []byte
}

// base is all but signoff itself: it changes seldom.
func base() []file {
	return []file{
		{"etc/", 0o755, 0, nil}, {"etc/ssl/", 0o755, 0, nil}, {"etc/ssl/certs/", 0o755, 0, nil},
		{"etc/passwd", 0o644, 0, []byte("root:x:0:0:root:/:/sbin/nologin\nsignoff:x:65532:65532:signoff:/var/lib/signoff:/sbin/nologin\n")},
		{"etc/group", 0o644, 0, []byte("root:x:0:\nsignoff:x:65532:\n")},
		{"etc/signoff/", 0o755, 0, nil},
		{roots, 0o644, 0, trusted()},
		{"tmp/", 0o1777, 0, nil},
		{"usr/", 0o755, 0, nil}, {"usr/local/", 0o755, 0, nil}, {"usr/local/bin/", 0o755, 0, nil},
		{"usr/share/", 0o755, 0, nil}, {"usr/share/sbom/", 0o755, 0, nil},
		{"var/", 0o755, 0, nil}, {"var/lib/", 0o755, 0, nil},
		{"var/lib/signoff/", 0o750, nobody, nil},
	}
}

// trusted are the certificates that Mozilla trusts for servers, in PEM. Those that it
// trusts on terms are left out, since a file cannot say them.
func trusted() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // to memory
		}
	}
	return out.Bytes()
}

// pack makes the image of one architecture.
func pack(binary string, bill []byte, architecture string, a about) (v1.Image, error) {
	text, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, files := range [][]file{base(), {{command[1:], 0o755, 0, text}, {billPath, 0o644, 0, bill}}} {
		layer, err := layerOf(files, a.at)
		if err != nil {
			return nil, err
		}
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCILayer,
			History: v1.History{Created: v1.Time{Time: a.at}, CreatedBy: "signoff .ci/image"}})
		if err != nil {
			return nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", architecture, v1.Time{Time: a.at}
	config.Config = v1.Config{
		Entrypoint: []string{command}, User: "65532:65532", WorkingDir: "/",
		Env: []string{"PATH=/usr/local/bin", "SSL_CERT_FILE=/" + roots}, Labels: labels(a),
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "9090/tcp": {}}, StopSignal: "SIGTERM",
	}
	return mutate.ConfigFile(image, config)
}

func labels(a about) map[string]string {
	all := map[string]string{
		"org.opencontainers.image.title":       "signoff",
		"org.opencontainers.image.description": "Closes the Docusign users of people who left",
		"org.opencontainers.image.version":     a.version,
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.created":     a.at.Format(time.RFC3339),
	}
	if a.revision != "" {
		all["org.opencontainers.image.revision"] = a.revision
	}
	return all
}

func layerOf(files []file, at time.Time) (v1.Layer, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		header := &tar.Header{Name: f.path, Mode: f.mode, Uid: f.owner, Gid: f.owner, Size: int64(len(f.text)), ModTime: at,
			Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if f.text == nil {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
}

// write writes the images as one index, and the one of this architecture as a tarball
// that docker, podman and containerd load. It returns the digest of the index.
func write(out string, images []platformImage, a about, here string) (string, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, i := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: i.Image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: i.architecture}}})
		if i.architecture != here {
			continue
		}
		ref, err := name.NewTag(tag + a.version)
		if err != nil {
			return "", err
		}
		if err := tarball.WriteToFile(filepath.Join(out, "signoff.tar"), ref, i.Image); err != nil {
			return "", err
		}
	}
	path, err := layout.Write(filepath.Join(out, "oci"), empty.Index)
	if err != nil {
		return "", err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": a.version})); err != nil {
		return "", err
	}
	digest, err := index.Digest()
	return digest.String(), err
}
