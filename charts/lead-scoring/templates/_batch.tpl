{{/* Nightly scores: the pods of the jobs image that write the lake. */}}

{{- define "leadscore.batchModel" -}}
{{ default (printf "%s@champion" .Values.model.name) .Values.batch.model }}
{{- end -}}

{{/* As `batch.schedule` says, or hourly for six hours from `batch.at` on. */}}
{{- define "leadscore.batchSchedule" -}}
{{- if .Values.batch.schedule -}}
{{ .Values.batch.schedule }}
{{- else -}}
{{- $clock := splitList ":" .Values.batch.at -}}
{{- $hours := list -}}
{{- range until 6 -}}
{{- $hours = append $hours (mod (add (index $clock 0 | atoi) .) 24) -}}
{{- end -}}
{{ index $clock 1 | atoi }} {{ join "," $hours }} * * *
{{- end -}}
{{- end -}}

{{/* When nights are due, and of which model: for the runs, and for whoever says that one was missed. */}}
{{- define "leadscore.batchEnv" -}}
{{- if .Values.batch.enabled }}
- {name: LEADSCORE_BATCH_ZONE, value: {{ .Values.batch.timeZone | quote }}}
- {name: LEADSCORE_BATCH_AT, value: {{ .Values.batch.at | quote }}}
- {name: LEADSCORE_BATCH_GRACE, value: {{ .Values.batch.grace | quote }}}
- {name: LEADSCORE_BATCH_MODELS, value: {{ include "leadscore.batchModel" . | regexFind "^[^@/]+" | quote }}}
{{- end }}
{{- end -}}

{{/* A CronJob of one command: .root, .component, .name (after the release's), .schedule, .arguments, .keep (finished ones). */}}
{{- define "leadscore.batchCronJob" -}}
{{- $of := dict "root" .root "component" .component -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ include "leadscore.fullname" .root }}-{{ .component }}
  labels: {{ include "leadscore.labels" $of | nindent 4 }}
spec:
  schedule: {{ .schedule | quote }}
  timeZone: {{ .root.Values.batch.timeZone }}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: {{ int64 .root.Values.batch.startingDeadlineSeconds }}
  successfulJobsHistoryLimit: {{ int64 .keep }}
  failedJobsHistoryLimit: {{ int64 .root.Values.batch.history }}
  jobTemplate:
    metadata:
      labels: {{ include "leadscore.labels" $of | nindent 8 }}
    spec:
      {{- include "leadscore.batchJob" . | nindent 6 }}
{{- end -}}

{{- define "leadscore.batchJob" -}}
{{- $v := .root.Values -}}
{{- $b := $v.batch -}}
{{- $of := dict "root" .root "component" .component "of" $b -}}
{{- $account := include "leadscore.account" (dict "given" $b.serviceAccount "name" (printf "%s-batch" (include "leadscore.fullname" .root))) -}}
backoffLimit: {{ int64 $b.retries }}
activeDeadlineSeconds: {{ int64 $b.deadlineSeconds }}
podFailurePolicy:
  rules:
    # A pod that was lost with its node, or evicted, says nothing about the run.
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget}]
    # Usage, bad input, not found, damaged: the next pod would say the same. After anything else another one goes on.
    - action: FailJob
      onExitCodes: {containerName: leadscore, operator: In, values: [2, 3, 4, 7]}
template:
  metadata:
    labels: {{ include "leadscore.podLabels" $of | nindent 6 }}
    {{- with include "leadscore.podAnnotations" $of }}
    annotations: {{ . | nindent 6 }}
    {{- end }}
  spec:
    # Each try is a pod of its own, whose log stays.
    restartPolicy: Never
    # What is killed anywhere is gone on with: nothing has to be finished first.
    terminationGracePeriodSeconds: 5
    {{- include "leadscore.podHead" (merge (dict "uid" 10001 "account" $account) $of) | nindent 4 }}
    containers:
      - name: leadscore
        image: {{ include "leadscore.image" (dict "image" $v.jobsImage "tag" .root.Chart.AppVersion) }}
        imagePullPolicy: {{ $v.jobsImage.pullPolicy }}
        command: [leadscore]
        args: {{ toJson .arguments }}
        terminationMessagePolicy: FallbackToLogsOnError
        env:
          - {name: HOME, value: /tmp}
          - {name: LEADSCORE_HOME, value: /var/lib/leadscore}
          - {name: LEADSCORE_TRACKING_URI, value: {{ include "leadscore.trackingUri" .root | quote }}}
          - {name: LEADSCORE_LAKE, value: {{ default "/lake" $b.lake | quote }}}
          {{- include "leadscore.batchEnv" .root | nindent 10 }}
          {{- include "leadscore.databaseEnv" (dict "root" .root "name" "LEADSCORE_EVENTS_URL" "scheme" "postgresql" "database" "leadscore" "existingSecret" $v.events.existingSecret "urlKey" $v.events.urlKey) | nindent 10 }}
          {{- include "leadscore.crmFileEnv" .root | nindent 10 }}
          {{- include "leadscore.caEnv" .root | nindent 10 }}
          {{- with $b.extraEnv }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
        {{- with $b.envFrom }}
        envFrom: {{ toYaml . | nindent 10 }}
        {{- end }}
        resources: {{ toYaml $b.resources | nindent 10 }}
        securityContext: {{ include "leadscore.containerSecurity" .root | nindent 10 }}
        volumeMounts:
          - {name: home, mountPath: /var/lib/leadscore}
          - {name: tmp, mountPath: /tmp}
          {{- if $v.model.registry.cacheClaim }}
          - {name: models, mountPath: /var/lib/leadscore/models}
          {{- end }}
          {{- if $v.mlflow.artifactClaim }}
          - {name: artefacts, mountPath: /artefacts, readOnly: true}
          {{- end }}
          {{- if $b.claim }}
          - {name: lake, mountPath: /lake}
          {{- end }}
          {{- include "leadscore.crmFileMounts" .root | nindent 10 }}
          {{- include "leadscore.moreMounts" $of | nindent 10 }}
    volumes:
      - {name: home, emptyDir: {sizeLimit: {{ $b.scratchSize }}}}
      - {name: tmp, emptyDir: {}}
      {{- with $v.model.registry.cacheClaim }}
      - name: models
        persistentVolumeClaim: {claimName: {{ . }}}
      {{- end }}
      {{- with $v.mlflow.artifactClaim }}
      - name: artefacts
        persistentVolumeClaim: {claimName: {{ . }}, readOnly: true}
      {{- end }}
      {{- with $b.claim }}
      - name: lake
        persistentVolumeClaim: {claimName: {{ . }}}
      {{- end }}
      {{- include "leadscore.crmFileVolumes" .root | nindent 6 }}
      {{- include "leadscore.moreVolumes" $of | nindent 6 }}
{{- end -}}
