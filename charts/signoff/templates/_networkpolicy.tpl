{{/* The ways out: by the values, and where those name no ports, by the config. */}}
{{- define "signoff.egress" -}}
{{- $ways := .Values.networkPolicy.egress }}
{{- $config := .Values.config }}
{{- $dns := list }}
{{- range $ways.dns.ports }}{{ $dns = concat $dns (list (dict "port" . "protocol" "UDP") (dict "port" . "protocol" "TCP")) }}{{ end }}
{{- include "signoff.way" (list . $dns $ways.dns.to) }}
{{- $kafka := list }}
{{- range ($config.kafka).brokers }}{{ $kafka = append $kafka (include "signoff.port" (list . "9092")) }}{{ end }}
{{- include "signoff.way" (list . (include "signoff.tcp" (list $ways.kafka.ports $kafka) | fromJsonArray) $ways.kafka.to) }}
{{- include "signoff.way" (list . (include "signoff.tcp" (list $ways.docusign.ports (list)) | fromJsonArray) $ways.docusign.to) }}
{{- $outcomes := list }}
{{- with (($config.outcomes).webhook).url }}{{ $outcomes = append $outcomes (include "signoff.urlPort" .) }}{{ end }}
{{- include "signoff.way" (list . (include "signoff.tcp" (list $ways.outcomes.ports $outcomes) | fromJsonArray) $ways.outcomes.to) }}
{{- $directory := list }}
{{- with (($config.events).directory).scim }}{{ $directory = append $directory (include "signoff.urlPort" .) }}{{ end }}
{{- include "signoff.way" (list . (include "signoff.tcp" (list $ways.directory.ports $directory) | fromJsonArray) $ways.directory.to) }}
{{- $oidc := list }}
{{- with (($config.admin).oidc).issuer }}{{ $oidc = append $oidc (include "signoff.urlPort" .) }}{{ end }}
{{- include "signoff.way" (list . (include "signoff.tcp" (list $ways.oidc.ports $oidc) | fromJsonArray) $ways.oidc.to) }}
{{- with $ways.extra }}
{{ include "signoff.tpl" (list $ .) }}
{{- end }}
{{- end }}

{{/* One way out; none without ports: (list . PORTS TO) */}}
{{- define "signoff.way" -}}
{{- $root := index . 0 }}
{{- with index . 1 }}
- ports:
    {{- toYaml . | nindent 4 }}
  {{- with index $ 2 }}
  to:
    {{- include "signoff.tpl" (list $root .) | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Ports of TCP as a JSON list, those of the values before those of the config: (list VALUES CONFIG) */}}
{{- define "signoff.tcp" -}}
{{- $ports := list }}
{{- range (index . 0 | default (index . 1)) | uniq }}{{ $ports = append $ports (dict "port" (int .) "protocol" "TCP") }}{{ end }}
{{- toJson $ports }}
{{- end }}

{{- define "signoff.urlPort" -}}
{{- include "signoff.port" (list . (ternary "80" "443" (hasPrefix "http:" .))) }}
{{- end }}
