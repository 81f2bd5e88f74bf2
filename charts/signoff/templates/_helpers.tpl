{{/* Names. */}}

{{- define "signoff.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
The name of all that a release has, and the label job in Prometheus. A
StatefulSet's may have 52 characters: its pods bear it as a label, with the hash
of a revision behind it.
*/}}
{{- define "signoff.fullname" -}}
{{- $name := include "signoff.name" . }}
{{- $full := printf "%s-%s" .Release.Name $name }}
{{- if contains $name .Release.Name }}{{ $full = .Release.Name }}{{ end }}
{{- default $full .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* A name derived from it: (list . "backup") */}}
{{- define "signoff.derived" -}}
{{- $suffix := index . 1 }}
{{- printf "%s-%s" (include "signoff.fullname" (index . 0) | trunc (sub 51 (len $suffix) | int) | trimSuffix "-") $suffix }}
{{- end }}

{{- define "signoff.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "signoff.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "signoff.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "signoff.claim" -}}
{{- if .Values.persistence.existingClaim }}
{{- tpl .Values.persistence.existingClaim . }}
{{- else }}
{{- printf "data-%s-0" (include "signoff.fullname" .) }}
{{- end }}
{{- end }}

{{- define "signoff.backupClaim" -}}
{{- if .Values.backup.persistence.existingClaim }}
{{- tpl .Values.backup.persistence.existingClaim . }}
{{- else }}
{{- include "signoff.derived" (list . "backup") }}
{{- end }}
{{- end }}

{{- define "signoff.configMap" -}}
{{- if .Values.existingConfigMap }}
{{- tpl .Values.existingConfigMap . }}
{{- else }}
{{- include "signoff.fullname" . }}
{{- end }}
{{- end }}

{{- define "signoff.image" -}}
{{- $repository := required "image.repository: not set: nothing is published yet, so say where your image of signoff is" .Values.image.repository }}
{{- if not (regexMatch "^[^:@\\s]+(:[0-9]+/[^:@\\s]+)?$" $repository) }}
{{- fail (printf "image.repository: %s: only registry and name; a tag belongs into image.tag, a digest into image.digest" $repository) }}
{{- end }}
{{- if .Values.image.digest }}
{{- $repository }}{{ with .Values.image.tag }}:{{ . }}{{ end }}@{{ .Values.image.digest }}
{{- else }}
{{- $repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{/* Labels and annotations. */}}

{{/* By which the daemon's pod is found, and nothing else of the release: they never change. */}}
{{- define "signoff.selectorLabels" -}}
{{ include "signoff.releaseSelector" . }}
app.kubernetes.io/component: daemon
{{- end }}

{{/* By which every pod of the release is found. */}}
{{- define "signoff.releaseSelector" -}}
app.kubernetes.io/name: {{ include "signoff.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "signoff.labels" -}}
{{- include "signoff.componentLabels" (list . "") }}
{{- end }}

{{/* Those of a part of the release: (list . "backup"). Ours win over commonLabels: the selectors rely on them. */}}
{{- define "signoff.componentLabels" -}}
{{- $root := index . 0 }}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/name" (include "signoff.name" $root)
  "app.kubernetes.io/instance" $root.Release.Name
  "app.kubernetes.io/version" (default $root.Chart.AppVersion $root.Values.image.tag | replace "+" "_" | trunc 63 | trimAll "-._")
  "app.kubernetes.io/managed-by" $root.Release.Service
  "app.kubernetes.io/part-of" "signoff" }}
{{- with index . 1 }}{{ $_ := set $labels "app.kubernetes.io/component" . }}{{ end }}
{{- toYaml (merge $labels $root.Values.commonLabels) }}
{{- end }}

{{/* Those of a pod, without the chart's version: a new chart with the same image restarts nothing. (list . "backup") */}}
{{- define "signoff.podLabels" -}}
{{- $labels := omit (include "signoff.componentLabels" . | fromYaml) "helm.sh/chart" "app.kubernetes.io/managed-by" }}
{{- toYaml (merge $labels (index . 0).Values.podLabels) }}
{{- end }}

{{/* metadata.annotations with commonAnnotations: (list . ANNOTATIONS…), the first that has a key wins; nothing if there are none. */}}
{{- define "signoff.annotations" -}}
{{- $root := index . 0 }}
{{- $all := dict }}
{{- range rest . }}{{ $all = merge $all (default dict .) }}{{ end }}
{{- with merge $all $root.Values.commonAnnotations -}}
annotations:
{{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A value of the user's, in which templates may be: (list . VALUE) */}}
{{- define "signoff.tpl" -}}
{{- $value := index . 1 }}
{{- if not (kindIs "string" $value) }}{{ $value = toYaml $value }}{{ end }}
{{- tpl $value (index . 0) }}
{{- end }}

{{- define "signoff.imagePullSecrets" -}}
{{- $names := list }}
{{- range concat (default list ((.Values.global).imagePullSecrets)) .Values.imagePullSecrets }}
{{- $names = append $names (ternary . (get (ternary dict . (kindIs "string" .)) "name") (kindIs "string" .)) }}
{{- end }}
{{- with $names | uniq -}}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* The security context of a pod or container, without what OpenShift's own rules choose: (list . CONTEXT) */}}
{{- define "signoff.securityContext" -}}
{{- $root := index . 0 }}
{{- $context := index . 1 }}
{{- $adapt := $root.Values.openshift.adaptSecurityContext }}
{{- if or (eq $adapt "force") (and (eq $adapt "auto") ($root.Capabilities.APIVersions.Has "security.openshift.io/v1")) }}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{/*
A probe: (list . VALUES). Helm lays maps over each other: another way to ask takes the
place of the default one. The admin port is asked as it is spoken there.
*/}}
{{- define "signoff.probe" -}}
{{- $probe := deepCopy (index . 1) }}
{{- if or $probe.exec $probe.tcpSocket $probe.grpc }}
{{- $probe = omit $probe "httpGet" }}
{{- else if $probe.httpGet }}
{{- if and (eq (include "signoff.adminScheme" (index . 0)) "https") (eq (toString $probe.httpGet.port) "admin") (not $probe.httpGet.scheme) }}
{{- $_ := set $probe.httpGet "scheme" "HTTPS" }}
{{- end }}
{{- end }}
{{- toYaml $probe }}
{{- end }}

{{/* What is in the config. */}}

{{/* The config file: as the values have it, with what must be so in a pod. */}}
{{- define "signoff.config" -}}
{{- $config := deepCopy .Values.config }}
{{- range $key, $value := .Values.config }}
{{- if kindIs "invalid" $value }}{{ $_ := unset $config $key }}{{ end }}
{{- end }}
{{- if not $config.ledger }}{{ $_ := set $config "ledger" "sqlite:///var/lib/signoff/ledger.db" }}{{ end }}
{{- $admin := default dict $config.admin }}
{{- if not $admin.listen }}{{ $_ := set $admin "listen" "0.0.0.0:9090" }}{{ end }}
{{- $_ := set $config "admin" $admin }}
{{- if hasKey $config "webhook" }}
{{- if not $config.webhook.listen }}{{ $_ := set $config.webhook "listen" ":8080" }}{{ end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* The port at the end of a listen address, a broker or a URL: (list "0.0.0.0:9090" 9090) */}}
{{- define "signoff.port" -}}
{{- $port := regexFind ":[0-9]+$" (regexReplaceAll "^([a-z]+://[^/]*).*$" (default "" (index . 0)) "${1}") | trimPrefix ":" }}
{{- default (index . 1) $port }}
{{- end }}

{{- define "signoff.adminPort" -}}
{{- include "signoff.port" (list ((.Values.config.admin).listen) "9090") }}
{{- end }}

{{/*
What is spoken at the admin port: http or https. A web config in configFiles says itself
whether it has TLS; of one in a Secret that is taken for granted.
*/}}
{{- define "signoff.adminScheme" -}}
{{- $file := toString (default "" (.Values.config.admin).web_config_file) }}
{{- $text := get .Values.configFiles (trimPrefix "/etc/signoff/" $file) }}
{{- if .Values.adminScheme }}{{ .Values.adminScheme }}
{{- else if or (not $file) (and $text (not (fromYaml $text).tls_server_config)) }}http
{{- else }}https
{{- end }}
{{- end }}

{{/* Whether there is a webhook; of a ConfigMap of your own that is taken for granted. */}}
{{- define "signoff.hasWebhook" -}}
{{- if or .Values.existingConfigMap .Values.config.webhook }}true{{ end }}
{{- end }}

{{- define "signoff.webhookPort" -}}
{{- include "signoff.port" (list ((.Values.config.webhook).listen) "8080") }}
{{- end }}

{{/* The paths that the webhook takes events at, as a JSON list: those of the values, else of the config. */}}
{{- define "signoff.webhookPaths" -}}
{{- $paths := index . 1 }}
{{- if not $paths }}
{{- range ((index . 0).Values.config.webhook).endpoints }}{{ $paths = append $paths .path }}{{ end }}
{{- end }}
{{- toJson $paths }}
{{- end }}

{{/*
What of the admin port people's browsers need, as a JSON list: the pages, and the API.
Metrics and health stay inside.
*/}}
{{- define "signoff.pagePaths" -}}
{{- list "/leavers" "/holds" "/freezes" "/rejects" "/report" "/sign-in" "/sign-out" "/assets" "/api" | toJson }}
{{- end }}

{{/* The files that are mounted below /etc/signoff, as a JSON list. */}}
{{- define "signoff.mounted" -}}
{{- $files := list "/etc/signoff/signoff.yaml" }}
{{- range $name, $text := .Values.configFiles }}{{ if $text }}{{ $files = append $files (printf "/etc/signoff/%s" $name) }}{{ end }}{{ end }}
{{- range $_, $secret := .Values.secrets }}
{{- range $_, $file := ($secret).items }}{{ $files = append $files (printf "/etc/signoff/secrets/%s" $file) }}{{ end }}
{{- end }}
{{- toJson $files }}
{{- end }}

{{/*
The lines that name each file below /etc/signoff, or where signoff's own examples
have secrets, which the config has and nothing mounts: (dict "root" . "mounted" FILES "node" CONFIG "at" "config")
*/}}
{{- define "signoff.missingFiles" -}}
{{- $with := . }}
{{- if kindIs "map" .node }}
{{- range $key, $value := .node }}
{{- $at := printf "%s.%s" $with.at $key }}
{{- if and (kindIs "string" $value) (or (hasSuffix "_file" $key) (has $key (list "file" "csv"))) }}
{{- if and (or (hasPrefix "/etc/signoff/" $value) (hasPrefix "/run/secrets/" $value)) (not (has $value $with.mounted)) }}
{{- $elsewhere := false }}
{{- range $with.root.Values.extraVolumeMounts }}
{{- if or (eq .mountPath $value) (hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) $value) }}{{ $elsewhere = true }}{{ end }}
{{- end }}
{{- if not $elsewhere }}
{{- $why := ternary "no item of secrets makes this file" "neither configFiles nor secrets make this file" (hasPrefix "/etc/signoff/secrets/" $value) }}
{{- if hasPrefix "/run/" $value }}{{ $why = "nothing is mounted there: items of secrets are files below /etc/signoff/secrets" }}{{ end }}
{{- printf "\n  %s: %s: %s" $at $value $why }}
{{- end }}
{{- end }}
{{- else }}
{{- include "signoff.missingFiles" (dict "root" $with.root "mounted" $with.mounted "node" $value "at" $at) }}
{{- end }}
{{- end }}
{{- else if kindIs "slice" .node }}
{{- range $i, $value := .node }}
{{- include "signoff.missingFiles" (dict "root" $with.root "mounted" $with.mounted "node" $value "at" (printf "%s[%d]" $with.at $i)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* How the time between the end of traffic and SIGTERM's effect is won: sleep, flag, or none where lifecycle says it. */}}
{{- define "signoff.waitsBy" -}}
{{- if or .Values.lifecycle (eq (int .Values.preStop.delaySeconds) 0) }}none
{{- else if ne .Values.preStop.by "auto" }}{{ .Values.preStop.by }}
{{- else if semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version }}sleep
{{- else }}flag
{{- end }}
{{- end }}

{{/* Whether a ServiceMonitor or PodMonitor is made: (list . VALUES "ServiceMonitor") */}}
{{- define "signoff.monitors" -}}
{{- $root := index . 0 }}
{{- $values := index . 1 }}
{{- $kind := index . 2 }}
{{- if $values.enabled }}
{{- $known := $root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" $kind) }}
{{- if or $known (eq $values.renderMode "alwaysRender") }}true
{{- else if eq $values.renderMode "failIfMissing" }}
{{- fail (printf "this cluster knows no %s of monitoring.coreos.com/v1: install the Prometheus operator's CRDs, or set renderMode: skipIfMissing" $kind) }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the daemon, and what is run beside it, has in common. */}}

{{/*
Config and secrets are one volume, so that what belongs together changes together.
Its files are root's and the fsGroup's; where nobody set one, whoever the pod runs
as must be able to read them as anybody: (list . "with secrets"), or (list . "").
*/}}
{{- define "signoff.configVolume" -}}
{{- $secrets := index . 1 }}
{{- with index . 0 }}
{{- $root := . }}
{{- $group := get (include "signoff.securityContext" (list . .Values.podSecurityContext) | fromYaml) "fsGroup" -}}
name: config
projected:
  defaultMode: {{ ternary "0440" "0444" (not (empty $group)) }}
  sources:
    - configMap:
        name: {{ include "signoff.configMap" . }}
  {{- range $name, $secret := .Values.secrets }}
    {{- if and $secret $secrets }}
    - secret:
        name: {{ tpl $secret.existingSecret $root }}
        {{- if $secret.optional }}
        optional: true
        {{- end }}
        items:
        {{- range $key, $file := $secret.items }}
          - key: {{ $key | quote }}
            path: {{ printf "secrets/%s" $file | quote }}
        {{- end }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{/* What a pod has of the values, whatever it runs: the daemon, a check, a backup. */}}
{{- define "signoff.podSpec" -}}
serviceAccountName: {{ include "signoff.serviceAccountName" . }}
automountServiceAccountToken: {{ .Values.serviceAccount.automount }}
enableServiceLinks: {{ .Values.enableServiceLinks }}
{{- with include "signoff.imagePullSecrets" . }}
{{ . }}
{{- end }}
{{- if not (kindIs "invalid" .Values.hostUsers) }}
hostUsers: {{ .Values.hostUsers }}
{{- end }}
securityContext:
  {{- include "signoff.securityContext" (list . .Values.podSecurityContext) | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What a container of ours has, whatever it runs. */}}
{{- define "signoff.container" -}}
image: {{ include "signoff.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "signoff.securityContext" (list . .Values.securityContext) | nindent 2 }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- include "signoff.tpl" (list $ .) | nindent 2 }}
{{- end }}
env:
  # What the ledger needs to be written anew is where there is room for it.
  - name: SQLITE_TMPDIR
    value: /var/lib/signoff
  {{- with .Values.extraEnv }}
  {{- include "signoff.tpl" (list $ .) | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "signoff.mounts" -}}
- name: config
  mountPath: /etc/signoff
  readOnly: true
- name: data
  mountPath: /var/lib/signoff
- name: tmp
  mountPath: /tmp
{{- with .Values.extraVolumeMounts }}
{{ include "signoff.tpl" (list $ .) }}
{{- end }}
{{- end }}

{{- define "signoff.tmpVolume" -}}
name: tmp
emptyDir:
  sizeLimit: {{ .Values.tmp.sizeLimit }}
  {{- with .Values.tmp.medium }}
  medium: {{ . }}
  {{- end }}
{{- end }}
