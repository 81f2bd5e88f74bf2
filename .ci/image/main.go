// Command image packs signoff, from scratch, into an OCI image for linux on amd64
// and arm64, with no daemon:
//
//	image -source CHECKOUT -out FOLDER
//
// The folder has the image as an OCI layout, as a tarball for `docker load` of the
// platform that it is made on, and the list of what is in each binary (CycloneDX).
// The same commit, built with the same Go, gives the same digest on every machine:
// what the image trusts is pinned by go.sum, and no time but that of the commit is in
// it. It prints the digest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	source := flag.String("source", ".", "the `checkout` to build")
	out := flag.String("out", "", "the `folder` to write to: made anew")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "image: -source CHECKOUT -out FOLDER")
		os.Exit(2)
	}
	digest, err := assemble(context.Background(), *source, *out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Println(digest)
}

// architectures are those that it is built for, all of linux.
var architectures = []string{"amd64", "arm64"}

// assemble builds and packs signoff, and returns the digest of the index.
func assemble(ctx context.Context, source, out string) (string, error) {
	if err := os.RemoveAll(out); err != nil {
		return "", err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", err
	}
	about, err := ask(ctx, source)
	if err != nil {
		return "", err
	}
	var images []platformImage
	for _, architecture := range architectures {
		binary := filepath.Join(out, "signoff-linux-"+architecture)
		if err := build(ctx, source, binary, architecture); err != nil {
			return "", err
		}
		bill, err := billOf(binary, about)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(binary+".cdx.json", bill, 0o644); err != nil {
			return "", err
		}
		image, err := pack(binary, bill, architecture, about)
		if err != nil {
			return "", err
		}
		images = append(images, platformImage{image, architecture})
	}
	return write(out, images, about, runtime.GOARCH)
}

// build makes the binary as the Dockerfile does. It depends on the source and on Go's
// version alone.
func build(ctx context.Context, source, binary, architecture string) error {
	path, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, "./cmd/signoff")
	command.Dir, command.Stderr = source, os.Stderr
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture, "GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0")
	if err := command.Run(); err != nil {
		return fmt.Errorf("go build for %s: %w", architecture, err)
	}
	return nil
}

// about is what the image says of itself.
type about struct {
	version  string
	revision string    // the commit; "" outside of a repository
	at       time.Time // of the commit, or the epoch
}

func ask(ctx context.Context, source string) (a about, err error) {
	text, err := os.ReadFile(filepath.Join(source, "cmd/signoff/version.go"))
	if err != nil {
		return a, err
	}
	_, rest, ok := strings.Cut(string(text), `const version = "`)
	if a.version, _, _ = strings.Cut(rest, `"`); !ok || a.version == "" {
		return a, errors.New("cmd/signoff/version.go: no version in it")
	}
	a.at = time.Unix(0, 0).UTC()
	said, err := exec.CommandContext(ctx, "git", "-C", source, "-c", "safe.directory=*", "log", "-1", "--format=%H %ct").Output()
	if err != nil {
		return a, nil //nolint:nilerr // not a repository
	}
	revision, at, _ := strings.Cut(strings.TrimSpace(string(said)), " ")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return a, fmt.Errorf("git log: %q: %w", said, err)
	}
	a.revision, a.at = revision, time.Unix(seconds, 0).UTC()
	if dirty, err := exec.CommandContext(ctx, "git", "-C", source, "-c", "safe.directory=*", "status", "--porcelain").Output(); err == nil && len(dirty) > 0 {
		a.revision += "-changed"
	}
	return a, nil
}
