import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "org.tfkd.bench"
    compileSdk = 36

    defaultConfig {
        applicationId = "org.tfkd.bench"
        minSdk = 24
        targetSdk = 36
        versionCode = 1
        versionName = "1.0"
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
        buildConfigField("String", "LITERT_VERSION", "\"${libs.versions.litert.get()}\"")
    }

    buildFeatures {
        buildConfig = true
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    // The vendors' NPU libraries are opened by their path, so they must lie unpacked on the phone.
    packaging {
        jniLibs.useLegacyPackaging = true
    }
}

kotlin {
    compilerOptions {
        jvmTarget = JvmTarget.JVM_17
        allWarningsAsErrors = true
    }
}

dependencies {
    implementation(libs.litert)
    implementation(libs.litert.gpu)
    // A vendor's NPU runtime, named on the command line: -PnpuRuntime=GROUP:NAME:VERSION
    providers.gradleProperty("npuRuntime").orNull?.let { implementation(it) }

    androidTestImplementation(libs.androidx.junit)
    androidTestImplementation(libs.androidx.runner)
}
