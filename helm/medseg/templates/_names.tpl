{{- define "medseg.selector" -}}
app.kubernetes.io/part-of: medseg
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/name: {{ .name }}
{{- end }}

{{- define "medseg.labels" -}}
{{ include "medseg.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{/* The image of a service, by digest where one is given. */}}
{{- define "medseg.image" -}}
{{- $image := .root.Values.image }}
{{- $service := index .root.Values.services .name }}
{{- $name := $service.imageName | default .name }}
{{- with index ($image.digests | default dict) $name -}}
"{{ $image.repository }}/{{ $name }}@{{ . }}"
{{- else -}}
"{{ $image.repository }}/{{ $name }}:{{ $image.tag | default .root.Chart.AppVersion }}"
{{- end }}
{{- end }}

{{/* What all pods of medseg have in common. */}}
{{- define "medseg.pod" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "medseg.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* How services are called. */}}
{{- define "medseg.scheme" -}}
{{ if .Values.mutualTls.enabled }}https{{ else }}http{{ end }}
{{- end }}

{{/* Who hands requests on to the gateway, and is believed of whose they are. */}}
{{- define "medseg.trustedProxies" -}}
{{- $networks := list }}
{{- if .Values.gateway.enabled }}
{{- $networks = .Values.gateway.proxyCidrs }}
{{- with .Values.gateway.ip }}
{{- $networks = append $networks (printf "%s/%s" . (ternary "128" "32" (contains ":" .))) }}
{{- end }}
{{- end }}
{{- if .Values.ingress.enabled }}
{{- $networks = concat $networks (.Values.ingress.proxyCidrs | default list) }}
{{- end }}
{{- join "," $networks }}
{{- end }}

{{- define "medseg.env" -}}
{{- $service := index .root.Values.services .name }}
{{- if .root.Values.mutualTls.enabled }}
- { name: TLS_CERTIFICATE, value: /tls/tls.crt }
- { name: TLS_KEY, value: /tls/tls.key }
- { name: TLS_AUTHORITY, value: /tls/ca.crt }
{{- $callers := list }}
{{- range $caller, $other := .root.Values.services }}
{{- if has $.name ($other.peers | default list) }}
{{- $callers = append $callers (printf "%s-%s" $.root.Release.Name $caller) }}
{{- end }}
{{- end }}
{{- with $callers }}
# As the network policies say it: by the names in certificates.
- { name: TLS_CALLERS, value: {{ join "," . | quote }} }
{{- end }}
{{- end }}
{{- if hasKey ($service.resources.limits | default dict) "nvidia.com/gpu" }}
# Where GKE puts the node's driver; and a worker that finds no GPU says so at once, in place of being a slow one.
- { name: LD_LIBRARY_PATH, value: /usr/local/nvidia/lib64 }
- { name: DEVICE, value: "cuda:0" }
{{- end }}
{{- if and (eq .name "gateway") (not (hasKey $service.env "TRUSTED_PROXIES")) }}
{{- with include "medseg.trustedProxies" .root }}
- { name: TRUSTED_PROXIES, value: {{ . | quote }} }
{{- end }}
{{- end }}
{{- range $key, $value := $service.env }}
- { name: {{ $key }}, value: {{ tpl $value $.root | quote }} }
{{- end }}
{{- range $key, $entry := $service.secretEnv }}
- name: {{ $key }}
  valueFrom: { secretKeyRef: { name: {{ $.root.Values.secretName }}, key: {{ $entry }} } }
{{- end }}
{{- end }}

{{- define "medseg.mounts" -}}
{{- $service := index .root.Values.services .name }}
- { name: tmp, mountPath: /tmp }
{{- if $service.secretFiles }}
- { name: secret, mountPath: /secret, readOnly: true }
{{- end }}
{{- if .root.Values.mutualTls.enabled }}
- { name: tls, mountPath: /tls, readOnly: true }
{{- end }}
{{- end }}

{{- define "medseg.volumes" -}}
{{- $service := index .root.Values.services .name }}
- name: tmp
  emptyDir: { sizeLimit: {{ $service.tmpSize | default "64Mi" }} }
{{- if .root.Values.mutualTls.enabled }}
- name: tls
  secret: { secretName: {{ .root.Release.Name }}-{{ .name }}-tls, defaultMode: 0440 }
{{- end }}
{{- with $service.secretFiles }}
- name: secret
  secret:
    secretName: {{ $.root.Values.secretName }}
    # Readable by the group, which is the pod's own.
    defaultMode: 0440
    items:
      {{- range $file, $entry := . }}
      - { key: {{ $entry }}, path: {{ $file }} }
      {{- end }}
{{- end }}
{{- end }}

{{/* Starts before the service and ends after it. */}}
{{- define "medseg.cloudSqlProxy" -}}
- name: cloud-sql-proxy
  image: {{ .root.Values.cloudSql.image }}
  restartPolicy: Always
  args: [--private-ip, --structured-logs, --port=3306, --exit-zero-on-sigterm, --health-check, --http-address=0.0.0.0, {{ .root.Values.cloudSql.instance }}]
  startupProbe:
    httpGet: { path: /startup, port: 9090 }
    periodSeconds: 1
    failureThreshold: 60
  securityContext: {{- include "medseg.container" . | nindent 4 }}
  resources:
    requests: { cpu: 50m, memory: 64Mi, ephemeral-storage: 64Mi }
    limits: { memory: 256Mi, ephemeral-storage: 64Mi }
{{- end }}
