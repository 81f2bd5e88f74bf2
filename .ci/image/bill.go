package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

// billOf lists what is in a binary, in CycloneDX 1.6: each module with its version
// and go.sum's hash of it, and Go itself, whose library is in it as well. It is read
// from the binary, so it tells what was linked, not what might have been.
func billOf(binary string, a about) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	self := cyclonedx.Component{Type: cyclonedx.ComponentTypeApplication, BOMRef: "signoff", Name: "signoff", Version: a.version,
		Hashes:   &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
		Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}}}
	bom := cyclonedx.NewBOM()
	bom.SpecVersion = cyclonedx.SpecVersion1_6
	bom.Metadata = &cyclonedx.Metadata{Timestamp: a.at.Format("2006-01-02T15:04:05Z"), Component: &self}
	components := []cyclonedx.Component{{Type: cyclonedx.ComponentTypeFramework, BOMRef: "go", Name: "go", Version: strings.TrimPrefix(info.GoVersion, "go"),
		PackageURL: "pkg:generic/go@" + strings.TrimPrefix(info.GoVersion, "go")}}
	for _, module := range info.Deps {
		component, err := componentOf(module)
		if err != nil {
			return nil, err
		}
		components = append(components, component)
	}
	bom.Components = &components
	all := make([]string, 0, len(components))
	for _, c := range components {
		all = append(all, c.BOMRef)
	}
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: self.BOMRef, Dependencies: &all}}
	var out bytes.Buffer
	err = cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6)
	return out.Bytes(), err
}

func componentOf(module *debug.Module) (cyclonedx.Component, error) {
	if module.Replace != nil {
		module = module.Replace
	}
	url := "pkg:golang/" + strings.ToLower(module.Path) + "@" + module.Version
	c := cyclonedx.Component{Type: cyclonedx.ComponentTypeLibrary, BOMRef: url, Name: module.Path, Version: module.Version, PackageURL: url}
	if module.Sum == "" {
		return c, nil
	}
	// go.sum's h1 is the SHA-256 of a list of the module's files and their hashes.
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(module.Sum, "h1:"))
	if err != nil {
		return c, fmt.Errorf("%s: its sum %q: %w", module.Path, module.Sum, err)
	}
	c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
	return c, nil
}
