{{/* What is live of this release. `lookup` sees nothing at a first installation, in `helm template` and under GitOps. */}}

{{/* The scoring workloads of this release, whatever their kind and name, as a YAML list. */}}
{{- define "leadscore.liveWorkloads" -}}
{{- $kinds := dict "Deployment" "apps/v1" -}}
{{- /* Of a kind that the cluster does not know `lookup` would be an error. */ -}}
{{- if .Capabilities.APIVersions.Has "argoproj.io/v1alpha1/Rollout" -}}
{{- $_ := set $kinds "Rollout" "argoproj.io/v1alpha1" -}}
{{- end -}}
{{- $found := list -}}
{{- range $kind, $api := $kinds -}}
{{- range (lookup $api $kind $.Release.Namespace "").items -}}
{{- $labels := default dict .metadata.labels -}}
{{- if and (eq (get $labels "app.kubernetes.io/instance") $.Release.Name) (eq (get $labels "app.kubernetes.io/component") "scoring") -}}
{{- $found = append $found (dict "kind" $kind "metadata" .metadata "spec" .spec "status" (default dict .status)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/* The workload that this upgrade changes, as YAML; "{}" if there is none. */}}
{{- define "leadscore.live" -}}
{{- $live := dict -}}
{{- range include "leadscore.liveWorkloads" . | fromYamlArray -}}
{{- if and (eq .kind $.Values.workload.kind) (eq .metadata.name (include "leadscore.fullname" $)) -}}
{{- $live = . -}}
{{- end -}}
{{- end -}}
{{- toYaml $live -}}
{{- end -}}

{{/* The label of a pod template; the annotations that keep which version the values asked for last, and which one was written. */}}
{{- define "leadscore.versionLabel" -}}leadscore.dev/model-version{{- end -}}
{{- define "leadscore.askedVersion" -}}leadscore.dev/values-version{{- end -}}
{{- define "leadscore.writtenVersion" -}}leadscore.dev/rendered-version{{- end -}}

{{/* What the values make of the scoring pods but for their version; an annotation keeps it, for the next upgrade to compare. */}}
{{- define "leadscore.templateAnnotation" -}}leadscore.dev/template-digest{{- end -}}
{{- define "leadscore.templateDigest" -}}
{{- $of := dict "root" . "component" "scoring" "role" "champion" "version" "" "hashLabel" "" "of" .Values.scoring -}}
{{- printf "%s\n%s\n%s" (include "leadscore.pod" $of) (include "leadscore.podLabels" $of) (include "leadscore.podAnnotations" $of) | sha256sum | trunc 16 -}}
{{- end -}}

{{/*
The version that the pods of this upgrade serve: .root, .live (an object); "" with model.version=0 while nobody has released one.
Of a custom resource Helm sends only what has changed since its last revision: a version that it wrote then, and that somebody has
changed since, it would not write again.
*/}}
{{- define "leadscore.version" -}}
{{- $live := dig "spec" "template" "metadata" "labels" (include "leadscore.versionLabel" .) "" .live -}}
{{- $written := dig "metadata" "annotations" (include "leadscore.writtenVersion" .) "" .live -}}
{{- $version := include "leadscore.wantedVersion" (dict "root" .root "live" .live "version" $live) -}}
{{- if and (eq .root.Values.workload.kind "Rollout") $live (ne $version $live) (eq $version $written) -}}
{{- fail (printf "Version %s is to be brought and the pod template names version %s, which somebody else has written since: Helm sends only what has changed since its last revision, and that one said %s, too. Tell it what is there, then what you want: once with --set model.version=%s, then with --set model.version=%s." $version $live $version $live $version) -}}
{{- end -}}
{{- $version -}}
{{- end -}}

{{/*
The values' version if they have changed since the last upgrade, or nothing is live; else the live one, .version, which the
operator (a promotion) or a person (an undo) may have changed.
*/}}
{{- define "leadscore.wantedVersion" -}}
{{- $model := .root.Values.model -}}
{{- $asked := dig "metadata" "annotations" (include "leadscore.askedVersion" .) "" .live -}}
{{- $own := ternary (toString (int $model.version)) "" (gt (int $model.version) 0) -}}
{{- if or (not .version) (and $own (not $model.keepLive)) -}}
{{- $own -}}
{{- else if and $own (not $asked) (ne $own .version) -}}
{{- fail (printf "model.version is %s, the live release serves version %s, and it does not say which one was asked for last. Set model.version=%s to keep it, or model.keepLive=false to bring version %s." $own .version .version $own) -}}
{{- else if and $own (ne $own $asked) -}}
{{- $own -}}
{{- else if eq $own .version -}}
{{- $own -}}
{{- else -}}
{{- include "leadscore.keptVersion" . -}}
{{- end -}}
{{- end -}}

{{/* The live version, .version; stable's if it was sent back: an upgrade that does not ask for it must not try it again. */}}
{{- define "leadscore.keptVersion" -}}
{{- $status := default dict .live.status -}}
{{- $version := .version -}}
{{- if and $status.abort $status.stableRS (eq (toString $status.observedGeneration) (toString .live.metadata.generation)) -}}
{{- $stable := lookup "apps/v1" "ReplicaSet" .root.Release.Namespace (printf "%s-%s" .live.metadata.name $status.stableRS) -}}
{{- $version = dig "spec" "template" "metadata" "labels" (include "leadscore.versionLabel" .) .version (default dict $stable) -}}
{{- end -}}
{{- $version -}}
{{- end -}}

{{/* Pods of the workload: .root, .live. Without a number Argo Rollouts writes 1 (argo-rollouts#3689): an autoscaler takes over what is live. */}}
{{- define "leadscore.replicas" -}}
{{- $auto := .root.Values.autoscaling -}}
{{- if not $auto.enabled -}}
{{- .root.Values.workload.replicas -}}
{{- else if .live -}}
{{- max (int $auto.minReplicas) (int (dig "spec" "replicas" 1 .live)) -}}
{{- end -}}
{{- end -}}

{{/* Bytes of a quantity such as 4Gi, 500M or 1e9, as a whole number. */}}
{{- define "leadscore.bytes" -}}
{{- $powers := dict "" 0 "k" 1 "M" 2 "G" 3 "T" 4 "P" 5 "E" 6 "Ki" 1 "Mi" 2 "Gi" 3 "Ti" 4 "Pi" 5 "Ei" 6 -}}
{{- $text := toString . -}}
{{- $unit := regexFind "[kKMGTPE]i?$" $text -}}
{{- $bytes := trimSuffix $unit $text | float64 -}}
{{- range until (int (get $powers $unit)) -}}
{{- $bytes = mulf $bytes (ternary 1024 1000 (hasSuffix "i" $unit)) -}}
{{- end -}}
{{- int64 $bytes -}}
{{- end -}}
